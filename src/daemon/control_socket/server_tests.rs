//! The control socket: what it answers, and what a client cannot do to it.

use super::*;
use crate::daemon::status::{Reload, Status};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("x.pid");
    (folder, pid_file)
}

fn names(folder: &TempDir) -> Vec<String> {
    let files = fs::read_dir(folder.path()).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn started(pid_file: &Path, pid: u32) -> InPlace {
    let mut socket = ControlSocket::bind(pid_file).unwrap();
    socket.put_in_place().unwrap();
    let answer = move |request| match request {
        Request::Status => Reply::Status(Box::new(Status {
            pid,
            ..Status::default()
        })),
        Request::Reload => Reply::Reload(Reload::default()),
    };
    socket.serve(answer).unwrap()
}

fn ask(pid_file: &Path) -> Reply {
    let connection = connect(&path_beside(pid_file), EXCHANGE).unwrap();
    assert_eq!(connection.pid(), Some(std::process::id()));
    connection.ask(Request::Status, 5 * EXCHANGE).unwrap()
}

fn pid_of(reply: Reply) -> u32 {
    match reply {
        Reply::Status(status) => status.pid,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_answers_belongs_to_its_user_alone_and_is_gone_at_the_end() {
    let (folder, pid_file) = folder();
    let server = started(&pid_file, 1);
    let mode = fs::metadata(path_beside(&pid_file)).unwrap().permissions();
    assert_eq!(mode.mode() & 0o7777, 0o600);
    assert_eq!(pid_of(ask(&pid_file)), 1);
    let connection = connect(&path_beside(&pid_file), EXCHANGE).unwrap();
    let reply = connection.ask(Request::Reload, EXCHANGE).unwrap();
    assert_eq!(reply, Reply::Reload(Reload::default()));
    drop(server);
    assert!(names(&folder).is_empty(), "{:?}", names(&folder));
}

#[test]
fn one_that_was_not_put_in_place_leaves_nothing() {
    let (folder, pid_file) = folder();
    let socket = ControlSocket::bind(&pid_file).unwrap();
    assert_eq!(names(&folder).len(), 1);
    drop(socket);
    assert!(names(&folder).is_empty());
}

#[test]
fn one_that_another_server_answers_on_is_refused_until_that_one_has_ended() {
    let (folder, pid_file) = folder();
    let old = started(&pid_file, 1);
    let refused = ControlSocket::bind(&pid_file).unwrap_err();
    let who = format!("process {} answers on it", std::process::id());
    assert!(refused.contains(&who), "{refused}");
    // As where the server's user may not remove it.
    let path = path_beside(&pid_file);
    let kept = folder.path().join("kept");
    fs::rename(&path, &kept).unwrap();
    drop(old);
    fs::rename(&kept, &path).unwrap();
    let reached = connect(&path, EXCHANGE).unwrap_err();
    assert!(matches!(reached, Unreachable::Nobody), "{reached:?}");
    let new = started(&pid_file, 2);
    assert_eq!(pid_of(ask(&pid_file)), 2);
    drop(new);
    assert!(names(&folder).is_empty());
}

#[test]
fn one_that_nobody_answers_on_is_replaced() {
    let (_folder, pid_file) = folder();
    let left = UnixListener::bind(path_beside(&pid_file)).unwrap();
    drop(left);
    let _server = started(&pid_file, 3);
    assert_eq!(pid_of(ask(&pid_file)), 3);
}

#[test]
fn anything_else_in_its_place_is_refused_and_left_as_it_is() {
    let (folder, pid_file) = folder();
    let path = path_beside(&pid_file);
    let victim = folder.path().join("victim");
    fs::write(&victim, "bytes").unwrap();
    type Make<'a> = &'a dyn Fn();
    let fifo = || nix::unistd::mkfifo(&path, Mode::S_IRUSR).unwrap();
    let kinds: [Make<'_>; 4] = [
        &|| fs::write(&path, "bytes").unwrap(),
        &|| std::os::unix::fs::symlink(&victim, &path).unwrap(),
        &|| fs::create_dir(&path).unwrap(),
        &fifo,
    ];
    for make in kinds {
        make();
        let before = path.symlink_metadata().unwrap();
        let error = ControlSocket::bind(&pid_file).unwrap_err();
        assert!(error.contains("x.pid.sock: something else is in its place"));
        let after = path.symlink_metadata().unwrap();
        assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()));
        let reached = connect(&path, EXCHANGE).unwrap_err();
        assert!(matches!(reached, Unreachable::Wrong(_)), "{reached:?}");
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "bytes");
    assert_eq!(names(&folder), ["victim"]);
}

#[test]
fn a_client_that_hangs_does_not_keep_another_from_its_answer() {
    let (_folder, pid_file) = folder();
    let _server = started(&pid_file, 4);
    let hanging: Vec<_> = (0..MOST_CLIENTS - 1)
        .map(|_| UnixStream::connect(path_beside(&pid_file)).unwrap())
        .collect();
    assert_eq!(pid_of(ask(&pid_file)), 4);
    for mut stream in hanging {
        stream.set_read_timeout(Some(10 * EXCHANGE)).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    }
}

#[test]
fn what_is_no_request_is_refused_however_long_it_is() {
    let (_folder, pid_file) = folder();
    let _server = started(&pid_file, 5);
    for request in [&b"stop\n"[..], b"\n", &[b'x'; 31], &[b'x'; 4096]] {
        let mut stream = UnixStream::connect(path_beside(&pid_file)).unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        // What was sent beyond a request's length makes a reset behind the answer.
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.contains("expected the line"), "{answer}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_longer_than_asked() {
    let (_folder, pid_file) = folder();
    let (sender, receiver) = mpsc::channel::<()>();
    let receiver = std::sync::Mutex::new(receiver);
    let mut socket = ControlSocket::bind(&pid_file).unwrap();
    socket.put_in_place().unwrap();
    let _server = socket
        .serve(move |_| {
            let _ = receiver.lock().unwrap().recv();
            Reply::Refused("late".into())
        })
        .unwrap();
    let begun = Instant::now();
    let connection = connect(&path_beside(&pid_file), EXCHANGE).unwrap();
    let time = Duration::from_millis(300);
    assert!(connection.ask(Request::Status, time).is_err());
    assert!(begun.elapsed() < 20 * time);
    drop(sender);
}
