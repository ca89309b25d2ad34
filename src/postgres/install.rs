//! What to tell a person on whose machine no Postgres is installed.
//!
//! Invariant: decides by what it is handed; it reads no file and runs nothing.

/// The one sentence of advice, given the text of `/etc/os-release` (empty where there is none) and the
/// operating system as [`std::env::consts::OS`] names it.
pub(super) fn advice(os: &str, os_release: &str) -> String {
    match command(os, os_release) {
        Some(command) => format!("Install it with: {command}"),
        None => "Install a PostgreSQL server (15 or newer), so that its programs are in PATH".to_owned(),
    }
}

fn command(os: &str, os_release: &str) -> Option<&'static str> {
    if os == "macos" {
        return Some("brew install postgresql");
    }
    // A derivative names its parents in ID_LIKE, nearest first.
    let own = field(os_release, "ID").into_iter();
    let parents = field(os_release, "ID_LIKE").into_iter().flat_map(str::split_whitespace);
    own.chain(parents).find_map(command_of_distribution)
}

fn command_of_distribution(id: &str) -> Option<&'static str> {
    match id {
        "debian" | "ubuntu" => Some("apt-get install -y postgresql"),
        "alpine" => Some("apk add postgresql"),
        "fedora" | "rhel" | "centos" => Some("dnf install -y postgresql-server"),
        "arch" => Some("pacman -S postgresql"),
        "suse" | "opensuse" | "sles" => Some("zypper install -y postgresql-server"),
        _ => None,
    }
}

fn field<'a>(os_release: &'a str, name: &str) -> Option<&'a str> {
    os_release
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_system_gets_its_own_command() {
        let cases = [
            ("linux", "PRETTY_NAME=\"Debian\"\nID=debian\n", "apt-get install -y postgresql"),
            ("linux", "ID=ubuntu\nID_LIKE=debian\n", "apt-get install -y postgresql"),
            ("linux", "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt-get install -y postgresql"),
            ("linux", "ID=alpine\n", "apk add postgresql"),
            ("linux", "ID=fedora\n", "dnf install -y postgresql-server"),
            ("linux", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf install -y postgresql-server"),
            ("linux", "ID=rhel\n", "dnf install -y postgresql-server"),
            ("linux", "ID=arch\n", "pacman -S postgresql"),
            ("linux", "ID='opensuse-leap'\nID_LIKE='suse opensuse'\n", "zypper install -y postgresql-server"),
            ("linux", "ID=sles\n", "zypper install -y postgresql-server"),
            ("macos", "", "brew install postgresql"),
        ];
        for (os, os_release, wanted) in cases {
            assert_eq!(command(os, os_release), Some(wanted), "{os} {os_release:?}");
            assert!(advice(os, os_release).ends_with(wanted));
        }
    }

    #[test]
    fn an_unknown_system_is_told_what_is_wanted() {
        for os_release in ["", "ID=plan9\n", "no equals sign", "VERSION_ID=debian\n", "ID=\nID_LIKE=\n"] {
            assert_eq!(command("linux", os_release), None, "{os_release:?}");
        }
        assert!(advice("linux", "").contains("PostgreSQL server"));
    }
}
