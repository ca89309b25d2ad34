//! Converts words and numbers of the database to values of the domain, so that no statement does it by hand.
//!
//! A value that this version does not know is an error of its column: nothing falls through.

use std::error::Error;

use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};

use crate::domain::events::EventType;
use crate::domain::outcome::Outcome;
use crate::domain::state::{DeliveryState, JobResult, JobState, JobStep, PurgeState, SliceState};

type Unreadable = Box<dyn Error + Send + Sync>;

/// Enums that are stored in a column of this type.
macro_rules! words_of {
    ($($column:literal: $name:ty),+ $(,)?) => {$(
        impl Type<Postgres> for $name {
            fn type_info() -> PgTypeInfo {
                PgTypeInfo::with_name($column)
            }
        }

        impl<'r> Decode<'r, Postgres> for $name {
            fn decode(value: PgValueRef<'r>) -> Result<Self, Unreadable> {
                Ok(value.as_str()?.parse()?)
            }
        }
    )+};
}

words_of! {
    "purge_state": PurgeState,
    "slice_state": SliceState,
    "job_state": JobState,
    "job_result": JobResult,
    "job_step": JobStep,
    "delivery_state": DeliveryState,
    "text": EventType,
}

/// Decisions store the same number as the slices' bytes.
impl Type<Postgres> for Outcome {
    fn type_info() -> PgTypeInfo {
        <i16 as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Outcome {
    fn decode(value: PgValueRef<'r>) -> Result<Self, Unreadable> {
        let code = <i16 as Decode<Postgres>>::decode(value)?;
        let outcome = u8::try_from(code).ok().and_then(Self::from_code);
        outcome.ok_or_else(|| format!("{code} is not an outcome").into())
    }
}
