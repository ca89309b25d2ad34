//! Which folders are used, refused, made anew and left alone.

use super::*;

#[tokio::test]
async fn data_that_were_never_finished_are_made_anew() {
    let folder = passable_folder();
    let partial = cluster(&folder).with_extension("partial");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("PG_VERSION"), "15\n").unwrap();
    for made in [data_dir(&folder), data_dir(&folder).join("postgres")] {
        fs::set_permissions(made, Permissions::from_mode(0o711)).unwrap();
    }
    let account = Account::choose(Path::new("/"), None).unwrap();
    account.give(&partial).unwrap();
    account.give(&partial.join("PG_VERSION")).unwrap();

    let server = start(kept(&folder)).await.unwrap();

    assert!(!partial.exists());
    assert_eq!(ask(server.address(), "select 1"), "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_else_lies_in_the_data_directory_is_left_alone() {
    let folder = passable_folder();
    fs::create_dir(data_dir(&folder)).unwrap();
    fs::set_permissions(data_dir(&folder), Permissions::from_mode(0o755)).unwrap();
    let note = data_dir(&folder).join("note");
    fs::write(&note, "mine").unwrap();

    start(kept(&folder)).await.unwrap().stop().await.unwrap();

    assert_eq!(fs::read_to_string(note).unwrap(), "mine");
    assert_eq!(fs::metadata(data_dir(&folder)).unwrap().permissions().mode() & 0o777, 0o755);
}

#[tokio::test]
async fn the_data_directory_of_another_server_is_refused_untouched() {
    let folder = passable_folder();
    fs::write(folder.path().join("PG_VERSION"), "15\n").unwrap();

    let refused = start(Storage::Kept(folder.path().to_owned())).await.unwrap_err();

    assert!(matches!(refused, PostgresError::ForeignCluster { .. }), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn data_without_a_version_are_not_taken_for_unfinished_ones() {
    let folder = passable_folder();
    start(kept(&folder)).await.unwrap().stop().await.unwrap();
    fs::remove_file(cluster(&folder).join("PG_VERSION")).unwrap();

    let refused = start(kept(&folder)).await.unwrap_err();

    assert!(matches!(refused, PostgresError::Died { .. }), "{refused}");
    assert!(cluster(&folder).join("base").is_dir(), "they are still there");
}

#[tokio::test]
async fn a_folder_that_the_account_of_the_server_can_not_reach_is_named() {
    if !is_root() {
        return; // Only root runs the server as somebody else.
    }
    let closed = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap();
    let wanted = closed.path().join("below/data");

    let refused = start(Storage::Kept(wanted.clone())).await.unwrap_err();

    let text = refused.to_string();
    assert!(
        matches!(&refused, PostgresError::DataUnreachable { barrier, .. } if barrier == closed.path()),
        "{text}"
    );
    assert!(text.contains("/var/lib/genesys-purge"), "{text}");
    assert!(!closed.path().join("below").exists(), "nothing was made");
}

#[tokio::test]
async fn data_stay_with_the_account_that_made_them() {
    if !is_root() {
        return; // Only root can give files away.
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let folder = passable_folder();
    fs::create_dir_all(data_dir(&folder).join("postgres")).unwrap();
    fs::set_permissions(data_dir(&folder), Permissions::from_mode(0o711)).unwrap();
    std::os::unix::fs::chown(
        data_dir(&folder).join("postgres"),
        Some(nobody.uid.as_raw()),
        Some(nobody.gid.as_raw()),
    )
    .unwrap();

    let server = start(kept(&folder)).await.unwrap();

    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&server.cluster).unwrap());
    assert_eq!(owner, nobody.uid.as_raw());
    server.stop().await.unwrap();
}

#[test]
fn only_run_directories_are_ever_removed() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("genesys-purge-abc");
    fs::create_dir(&elsewhere).unwrap();
    let other = tempfile::Builder::new().prefix("other-").tempdir_in("/tmp").unwrap();
    let ours = tempfile::Builder::new().prefix("genesys-purge-").tempdir_in("/tmp").unwrap();
    let dotted = ours.path().join("..").join(other.path().file_name().unwrap());

    for path in [&elsewhere, other.path(), &dotted, Path::new("/tmp"), Path::new("/"), ours.path()] {
        super::super::folders::remove_run_directory(path);
    }

    assert!(elsewhere.exists() && other.path().exists() && !ours.path().exists());
}

#[test]
fn the_default_data_directory_is_a_whole_path() {
    let folder = default_data_dir();

    assert!(folder.is_absolute() && folder.ends_with("genesys-purge"), "{}", folder.display());
    assert_eq!(is_root(), folder == Path::new("/var/lib/genesys-purge"));
}
