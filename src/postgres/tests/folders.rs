//! Which folders are used, refused, made anew and left alone.

use std::os::unix::fs::MetadataExt as _;

use super::*;

fn nobody() -> (u32, u32) {
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    (nobody.uid.as_raw(), nobody.gid.as_raw())
}

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
    let (nobody, group) = nobody();
    let folder = passable_folder();
    fs::create_dir_all(data_dir(&folder).join("postgres")).unwrap();
    fs::set_permissions(data_dir(&folder), Permissions::from_mode(0o711)).unwrap();
    std::os::unix::fs::chown(data_dir(&folder).join("postgres"), Some(nobody), Some(group)).unwrap();

    let server = start(kept(&folder)).await.unwrap();

    assert_eq!(fs::metadata(&server.cluster).unwrap().uid(), nobody);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_link_in_the_place_of_the_servers_folder_is_refused_and_never_followed() {
    let folder = passable_folder();
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(data_dir(&folder)).unwrap();
    fs::set_permissions(data_dir(&folder), Permissions::from_mode(0o711)).unwrap();
    let link = data_dir(&folder).join("postgres");
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    if is_root() {
        let (nobody, group) = nobody();
        std::os::unix::fs::lchown(&link, Some(nobody), Some(group)).unwrap();
    }
    let before = fs::metadata(&elsewhere).unwrap();

    let refused = start(kept(&folder)).await.unwrap_err();

    assert!(matches!(&refused, PostgresError::NotAFolder { path } if *path == link), "{refused}");
    let after = fs::metadata(&elsewhere).unwrap();
    assert_eq!((after.uid(), after.mode()), (before.uid(), before.mode()), "it is still whose it was");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "and nothing was put into it");
}

#[test]
fn nothing_is_handed_over_through_a_link() {
    if !is_root() {
        return; // Only root can give files away.
    }
    let folder = passable_folder();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    fs::create_dir(&target).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let account = Account::choose(Path::new("/"), None).unwrap();

    let refused = account.give(&link).unwrap_err();

    assert!(matches!(&refused, PostgresError::NotAFolder { path } if *path == link), "{refused}");
    assert_eq!(fs::metadata(&target).unwrap().uid(), 0);
}

/// The step that is told, who can change it, and what makes it so for a folder on the way and the data directory in it.
type Exposed<'a> = (&'a str, &'a str, &'a dyn Fn(&Path, &Path));

#[tokio::test]
async fn root_keeps_no_data_where_others_can_change_the_folder_or_the_way_to_it() {
    if !is_root() {
        return; // Others are stopped by the permissions of the folders themselves.
    }
    let (nobody, group) = nobody();
    let chown = |path: &Path, uid, gid| std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
    let cases: [Exposed; 6] = [
        ("data", "user id", &|_, data| chown(data, nobody, 0)),
        ("way", "user id", &|way, _| chown(way, nobody, 0)),
        ("data", "everybody", &|_, data| {
            fs::set_permissions(data, Permissions::from_mode(0o1777)).unwrap();
        }),
        ("way", "everybody", &|way, _| fs::set_permissions(way, Permissions::from_mode(0o777)).unwrap()),
        ("data", "group id", &|_, data| {
            chown(data, 0, group);
            fs::set_permissions(data, Permissions::from_mode(0o771)).unwrap();
        }),
        ("way", "user id", &|way, data| {
            fs::remove_dir(data).unwrap();
            fs::remove_dir(way).unwrap();
            std::os::unix::fs::symlink(way.with_extension("real"), way).unwrap();
            fs::create_dir(way.with_extension("real")).unwrap();
            std::os::unix::fs::lchown(way, Some(nobody), Some(group)).unwrap();
        }),
    ];
    for (exposed, who, prepare) in cases {
        let folder = passable_folder();
        let (way, data) = (folder.path().join("way"), folder.path().join("way/data"));
        for made in [&way, &data] {
            fs::create_dir(made).unwrap();
            fs::set_permissions(made, Permissions::from_mode(0o711)).unwrap();
        }
        prepare(&way, &data);

        let refused = start(Storage::Kept(data.clone())).await.unwrap_err();

        let PostgresError::Exposed { step, who: told, .. } = &refused else { panic!("{refused}") };
        assert!(step.ends_with(exposed) && told.starts_with(who), "{refused}");
        assert!(refused.to_string().contains("/var/lib/genesys-purge"), "{refused}");
        let made = fs::read_dir(&data).map_or(0, Iterator::count);
        assert_eq!(made, 0, "nothing was made in it");
    }
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
