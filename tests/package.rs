//! What `scripts/package.sh` builds: the Debian package on a bare system, the image, the tarball,
//! and the manual.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use support::{BUILT_IN, Client, Ends, REQUEST, signal, wait_for};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder with the packages; none where they cannot be built.
fn packages() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            if !support::have("dpkg-deb") {
                return None;
            }
            let target = root().join("target");
            let package = root().join("scripts/package.sh");
            succeeds(
                Command::new(package)
                    .env("CARGO", env!("CARGO"))
                    .env("CARGO_TARGET_DIR", &target),
            );
            Some(target.join("package"))
        })
        .as_deref()
}

/// The one file with this ending.
fn the(folder: &Path, ending: &str) -> PathBuf {
    let mut found = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending));
    let file = found.next().unwrap();
    assert_eq!(found.next(), None);
    file
}

/// Runs it to its end and gives what it says.
fn succeeds(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        support::stderr(&output)
    );
    assert!(output.status.success(), "{command:?}:\n{text}");
    text
}

/// A bare Debian of this host's release, made once; none where that cannot be done.
fn bare_debian() -> Option<PathBuf> {
    if !support::is_root() || !support::have("debootstrap") || !support::have("unshare") {
        return None;
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let Some(suite) = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .filter(|_| release.contains("ID=debian"))
    else {
        support::skipped("this host is no Debian");
        return None;
    };
    let bare = root().join(format!("target/bare-{suite}"));
    if !bare.exists() {
        let new = bare.with_extension("new");
        let _ = fs::remove_dir_all(&new);
        // 'man' is the only program besides the bare system's own.
        let made = Command::new("debootstrap")
            .args(["--variant=minbase", "--include=man-db", suite])
            .arg(&new)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if !made.status.success() {
            print!("{}", String::from_utf8_lossy(&made.stdout));
            support::skipped("debootstrap cannot make a bare Debian here");
            return None;
        }
        fs::rename(new, &bare).unwrap();
    }
    Some(bare)
}

/// What happens on the bare system; every step shows what the test looks at.
const LIFE: &str = r#"
set -eu
exec 2>&1
listing() {
    find / -xdev \( -path /proc -o -path /tmp -o -path /var/lib/dpkg -o -path /var/log/dpkg.log \
        -o -path /var/cache/man -o -path '/etc/*-' \) -prune -o -print | sort
    cat /etc/passwd /etc/group
}
step() { printf '== %s\n' "$*"; }
ask() {
    exec 3<>/dev/tcp/127.0.0.1/843
    printf '<policy-file-request/>\0' >&3
    tr -d '\0' <&3
    exec 3>&-
}
owner() { stat -c %U "/proc/$(cat /run/flashpolicyd.pid)"; }
listing >/tmp/before
step install
dpkg -i /tmp/flashpolicyd.deb
step configuration
diff /tmp/flashpolicy.conf /etc/flashpolicy.conf || :
flashpolicyd check
step manual
man flashpolicyd | cat
step start
/etc/init.d/flashpolicyd start
ask
owner
stat -c '%U %a' /var/log/flashpolicyd
until grep -q 'Policy sent' /var/log/flashpolicyd/flashpolicy.log; do sleep 0.1; done
step restart
/etc/init.d/flashpolicyd reload
/etc/init.d/flashpolicyd restart
ask
step stop
/etc/init.d/flashpolicyd stop
step upgrade
/etc/init.d/flashpolicyd start
echo '# mine' >>/etc/flashpolicy.conf
dpkg -i /tmp/flashpolicyd.deb
tail -n 1 /etc/flashpolicy.conf
ask
step mistake
echo 'wrokers = 4' >>/etc/flashpolicy.conf
dpkg -i /tmp/flashpolicyd.deb </dev/null
ask
step remove
dpkg -r flashpolicyd
if [ -e /run/flashpolicyd.pid ]; then echo "still there"; fi
step purge
dpkg -P flashpolicyd
listing >/tmp/after
diff /tmp/before /tmp/after
step end
"#;

#[test]
fn the_debian_package_serves_on_a_bare_system_and_its_purge_leaves_nothing() {
    let (Some(bare), Some(packages)) = (bare_debian(), packages()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let system = folder.path().join("system");
    succeeds(Command::new("cp").arg("-a").args([&bare, &system]));
    for (from, to) in [
        (the(packages, ".deb"), "flashpolicyd.deb"),
        (root().join("flashpolicy.conf"), "flashpolicy.conf"),
    ] {
        fs::copy(from, system.join("tmp").join(to)).unwrap();
    }
    // Processes and a network of its own: port 843 is free there, and everything ends with it.
    let said = succeeds(
        Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
            ])
            .arg(
                "ip link set lo up && mount -t proc proc \"$0/proc\" && \
                 exec chroot \"$0\" bash -c \"$1\"",
            )
            .arg(&system)
            .arg(LIFE)
            .env("LC_ALL", "C.UTF-8"),
    );
    println!("{said}");
    let step = |name: &str| {
        let (_, rest) = said.split_once(&format!("== {name}\n")).unwrap();
        rest.split("== ").next().unwrap()
    };
    let policy = String::from_utf8_lossy(BUILT_IN).replace('\0', "");
    let configuration: Vec<_> = step("configuration")
        .lines()
        .filter(|line| line.starts_with(['<', '>']))
        .collect();
    assert_eq!(
        configuration,
        [
            "< #log_file = flashpolicy.log",
            "> log_file = /var/log/flashpolicyd/flashpolicy.log",
            "< #user = none",
            "> user = flashpolicyd",
        ]
    );
    assert!(step("manual").contains("Flash socket policy server"));
    assert!(step("start").contains(&format!("{policy}flashpolicyd\nflashpolicyd 750\n")));
    assert!(step("restart").contains(&policy));
    assert!(step("stop").contains("flashpolicyd stopped after"));
    assert!(step("upgrade").contains("# mine\n") && step("upgrade").contains(&policy));
    assert!(step("mistake").contains("was not restarted") && step("mistake").contains(&policy));
    assert!(step("remove").contains("flashpolicyd stopped after"));
    assert!(!step("remove").contains("still there"));
    assert!(said.ends_with("== end\n"));
}

/// The image's own store, apart from whatever images this host has.
struct Buildah {
    folder: tempfile::TempDir,
}

impl Buildah {
    fn command(&self) -> Command {
        let mut command = Command::new("buildah");
        command
            .args(["--storage-driver", "vfs", "--root"])
            .arg(self.folder.path().join("store"))
            .arg("--runroot")
            .arg(self.folder.path().join("run"));
        command
    }
}

#[test]
fn the_image_is_built_from_scratch_and_serves_without_root() {
    if !support::is_root() || !support::have("buildah") {
        return;
    }
    let Some(packages) = packages() else {
        return;
    };
    let buildah = Buildah {
        folder: tempfile::tempdir().unwrap(),
    };
    succeeds(
        buildah
            .command()
            .args([
                "build",
                "--isolation",
                "chroot",
                "--tag",
                "flashpolicyd",
                "--file",
            ])
            .arg(root().join("scripts/Dockerfile"))
            .arg(packages.join("image")),
    );
    let made = succeeds(
        buildah
            .command()
            .args(["from", "--pull-never", "flashpolicyd"]),
    );
    let container = made.lines().last().unwrap();
    let config = succeeds(buildah.command().args(["inspect", container]));
    for expected in [
        "\"/flashpolicyd\"",
        "\"843/tcp\"",
        "\"65534:65534\"",
        "SIGTERM",
    ] {
        assert!(config.contains(expected), "{expected} in {config}");
    }
    let address = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let log = buildah.folder.path().join("log");
    let child: Child = buildah
        .command()
        .args(["run", "--isolation", "chroot", container, "--"])
        .args(["/flashpolicyd", "serve", "--listen", &address.to_string()])
        .stdin(Stdio::null())
        .stdout(fs::File::create(&log).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let running = Ends(child);
    wait_for("the container to listen", || {
        TcpStream::connect(address).ok()
    });
    let mut client = Client::connect(address);
    client.send(REQUEST);
    assert_eq!(client.rest(), BUILT_IN);
    let server = descendant(running.0.id(), "flashpolicyd");
    let status = fs::read_to_string(format!("/proc/{server}/status")).unwrap();
    assert!(
        status.contains("\nUid:\t65534\t65534\t65534\t65534\n"),
        "{status}"
    );
    signal(server, "TERM");
    wait_for("the totals", || {
        let log = fs::read_to_string(&log).unwrap();
        log.contains("Totals: ").then_some(())
    });
}

/// The process of this name below another one.
fn descendant(of: u32, name: &str) -> u32 {
    let parent = |pid: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        line.trim().parse().ok()
    };
    let below = |pid: u32| {
        std::iter::successors(Some(pid), |pid| parent(*pid))
            .take(20)
            .any(|pid| pid == of)
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            comm.trim_end() == name
        })
        .find(|pid| below(*pid))
        .unwrap()
}

#[test]
fn the_tarball_holds_one_folder_with_a_server_that_runs() {
    let Some(packages) = packages() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    succeeds(
        Command::new("tar")
            .arg("-xzf")
            .arg(the(packages, ".tar.gz"))
            .arg("-C")
            .arg(folder.path()),
    );
    let top = the(folder.path(), "");
    for file in [
        "README.md",
        "flashpolicy.conf",
        "scripts/flashpolicyd.sh",
        "scripts/flashpolicyd.openrc",
        "scripts/flashpolicyd.service",
        "scripts/flashpolicyd.socket",
        "scripts/flashpolicyd.logrotate",
        "LICENSE",
        "scripts/flashpolicyd.8",
        "scripts/flashpolicy.conf.5",
        "scripts/completions/flashpolicyd.bash",
        "scripts/Dockerfile",
        "scripts/compose.yaml",
        "scripts/check_flashpolicy.cfg",
        "scripts/haproxy/tcp.cfg",
    ] {
        assert!(top.join(file).is_file(), "{file}");
    }
    let readme = fs::read_to_string(top.join("README.md")).unwrap();
    named_scripts(&readme, "scripts/").for_each(|name| {
        assert!(top.join("scripts").join(&name).exists(), "{name}");
    });
    let version = succeeds(Command::new(top.join("flashpolicyd")).arg("--version"));
    assert_eq!(
        version,
        concat!("flashpolicyd ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

/// What the README of a package names below this folder, apart from what builds from the sources.
fn named_scripts<'a>(readme: &'a str, folder: &'a str) -> impl Iterator<Item = String> + 'a {
    assert!(
        !readme.contains("![") && !readme.contains("](tests"),
        "links into the sources"
    );
    let named = readme.split(folder).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && !"._-/".contains(c));
        let name = &rest[..end.unwrap_or(rest.len())];
        name.trim_end_matches(['.', '/']).to_string()
    });
    named.filter(|name| !["build-static.sh", "package.sh", "bench.sh"].contains(&name.as_str()))
}

#[test]
fn the_debian_package_holds_what_its_readme_names() {
    let Some(packages) = packages() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    succeeds(
        Command::new("dpkg-deb")
            .arg("--raw-extract")
            .arg(the(packages, ".deb"))
            .arg(folder.path()),
    );
    let doc = folder.path().join("usr/share/doc/flashpolicyd");
    let readme = fs::read_to_string(doc.join("README.md")).unwrap();
    let mut named = 0;
    for name in named_scripts(&readme, "examples/") {
        assert!(doc.join("examples").join(&name).exists(), "{name}");
        named += 1;
    }
    assert!(named >= 6, "{named}");
    for file in [
        "usr/sbin/flashpolicyd",
        "usr/share/flashpolicyd/flashpolicy.conf",
        "usr/lib/systemd/system/flashpolicyd.service",
        "usr/lib/systemd/system/flashpolicyd.socket",
        "etc/init.d/flashpolicyd",
        "usr/share/man/man8/flashpolicyd.8.gz",
        "usr/share/man/man5/flashpolicy.conf.5.gz",
        "usr/share/bash-completion/completions/flashpolicyd",
        "usr/share/doc/flashpolicyd/copyright",
        "usr/share/doc/flashpolicyd/changelog.Debian.gz",
        "usr/share/doc/flashpolicyd/examples/flashpolicyd.logrotate",
        "usr/share/doc/flashpolicyd/examples/haproxy/tcp.cfg",
    ] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    succeeds(
        Command::new("md5sum")
            .args(["--check", "--strict", "--quiet", "DEBIAN/md5sums"])
            .current_dir(folder.path()),
    );
    let copyright = fs::read_to_string(doc.join("copyright")).unwrap();
    assert!(
        copyright.contains("The flashpolicyd authors"),
        "{copyright}"
    );
    assert!(
        copyright.contains("Permission is hereby granted"),
        "{copyright}"
    );
}

#[test]
fn lintian_finds_neither_errors_nor_warnings_in_the_debian_package() {
    if !support::have("lintian") {
        return;
    }
    let Some(packages) = packages() else {
        return;
    };
    let said = succeeds(
        Command::new("lintian")
            .args(["--allow-root", "--fail-on", "error,warning"])
            .arg(the(packages, ".deb")),
    );
    println!("{said}");
}

#[test]
fn the_version_is_the_same_in_the_packages() {
    let version = env!("CARGO_PKG_VERSION");
    let changelog = include_str!("../scripts/debian/changelog");
    assert!(changelog.starts_with(&format!("flashpolicyd ({version}-1) ")));
    let image = include_str!("../scripts/Dockerfile");
    assert!(image.contains(&format!("image.version=\"{version}\"")));
}

/// A policy that is served with warnings is served: the image is healthy.
#[test]
fn the_images_health_check_accepts_every_warning_about_a_policy() {
    let image = include_str!("../scripts/Dockerfile");
    let (_, check) = image.split_once("HEALTHCHECK ").unwrap();
    let check = check.split("ENTRYPOINT").next().unwrap();
    let words: Vec<_> = check.split('"').skip(1).step_by(2).collect();
    assert_eq!(words[..2], ["/flashpolicyd", "probe"]);
    let server = support::Setup::new().line("allow = * *").start();
    let port = server.address().port().to_string();
    let mut probe = support::binary();
    probe.args(&words[1..]).args(["--port", &port]);
    succeeds(&mut probe);
}

#[test]
fn each_script_answers_help() {
    for script in [
        "package.sh",
        "build-static.sh",
        "bench.sh",
        "flashpolicyd.sh",
        "make-man.sh",
    ] {
        let path = root().join("scripts").join(script);
        let said = succeeds(Command::new("sh").arg(path).arg("--help"));
        assert!(said.contains("usage: "), "{script}: {said}");
    }
}

#[test]
fn the_manual_pages_are_free_of_mistakes() {
    if !support::have("mandoc") {
        return;
    }
    for page in ["flashpolicyd.8", "flashpolicy.conf.5"] {
        let lint = succeeds(
            Command::new("mandoc")
                .args(["-Tlint", "-Wwarning"])
                .arg(root().join("scripts").join(page)),
        );
        assert_eq!(lint, "", "{page}");
    }
}
