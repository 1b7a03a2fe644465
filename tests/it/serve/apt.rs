//! Stock apt through the gateway: the machine's (2.6) and trixie's (3.0), also at older states and while publishes run.

use super::{compact, configure, publish};
use crate::client::{Apt, Kind};
use crate::gateway::{Gateway, read, until};
use crate::sandbox::{Sandbox, cache};

fn stanza(gateway: &Gateway) -> String {
    String::from_utf8(gateway.body("/trixie.sources")).unwrap()
}

#[test]
fn both_apts_install_and_fetch_sources_through_the_gateway() {
    let sandbox = Sandbox::with_archive();
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.deb("odd", "odd+name", "1:2.0~rc1+dfsg-1+b2", "all", "Source: odd+name (1:2.0~rc1+dfsg-1)\n");
    sandbox.commit("odd", &[]).ok();
    sandbox.dists(&[]).ok();
    let gateway = Gateway::of(&sandbox, &[]);
    for apt in Apt::both(&sandbox) {
        apt.use_stanza(&stanza(&gateway));
        apt.updates();
        apt.get(&["download", "hostname=3.23+nmu1", "odd+name"]).ok();
        apt.get(&["source", "--download-only", "hostname=3.23+nmu1"]).ok();
        for file in ["hostname_3.23+nmu1_amd64.deb", "hostname_3.23+nmu1.dsc", "hostname_3.23+nmu1.tar.xz"] {
            assert_eq!(read(apt.downloaded(file)), read(cache("out/small").join(file)), "{:?} {file}", apt.kind);
        }
        if apt.kind == Kind::Machine {
            apt.get(&["install", "odd+name"]).ok();
        }
        // Nothing new: one question, one answer without a body.
        let before = gateway.log().lines().count();
        apt.updates();
        let asked: Vec<String> = gateway.log().lines().skip(before).map(str::to_owned).collect();
        assert!(asked.len() == 1 && asked[0].starts_with("GET /dists/trixie/InRelease 304"), "{asked:?}");
    }
    assert!(gateway.log().contains("odd%2bname_2.0%7erc1"), "apt encodes names, and they are read: {}", gateway.log());
    gateway.stop();
}

#[test]
fn apt_resumes_a_download_that_broke_off() {
    let sandbox = Sandbox::with_archive();
    publish(&sandbox, "foo", "1.0");
    let gateway = Gateway::of(&sandbox, &[]);
    let whole = read(sandbox.path("out-foo-1.0/foo_1.0_amd64.deb"));
    let apt = Apt::of_machine(&sandbox);
    apt.use_stanza(&stanza(&gateway));
    apt.updates();
    let partial = "var/cache/apt/archives/partial/foo_1.0_amd64.deb";
    apt.write(partial, &whole[..300]);
    let modified = gateway.get("/pool/main/f/foo/foo_1.0_amd64.deb", &[]).header("last-modified").unwrap().to_owned();
    sandbox.run("touch", &["-d", &modified, apt.path(partial).to_str().unwrap()]).ok();
    apt.get(&["install", "--download-only", "foo"]).ok();
    assert!(gateway.log().contains(&format!("foo_1.0_amd64.deb 206 {} bytes", whole.len() - 300)), "{}", gateway.log());
    assert_eq!(read(apt.path("var/cache/apt/archives/foo_1.0_amd64.deb")), whole);
    gateway.stop();
}

#[test]
fn apt_3_installs_an_older_published_state() {
    // The oldest state was published long ago and has expired.
    let mut sandbox = Sandbox::with_archive_at("2026-10-01T00:00:00Z");
    let gateway = Gateway::of(&sandbox, &[]);
    configure(&sandbox, |text| {
        let text = text.replace("[archive]\n", &format!("[archive]\nsnapshots = \"{}snapshots/@SNAPSHOTID@/\"\n", gateway.url()));
        format!("{text}valid-for = \"7d\"\nkeep-generations = 1\nkeep-for = \"1s\"\n")
    });
    let expired = publish(&sandbox, "foo", "1.0");
    sandbox.environment.remove("DDB_NOW");
    let middle = publish(&sandbox, "foo", "2.0");
    let newest = publish(&sandbox, "foo", "3.0");
    super::shows(&gateway, &newest.1);
    // Nothing of the older states is left in the published tree, which the gateway does not need.
    std::fs::remove_dir_all(sandbox.public()).unwrap();
    let apt = Apt::of_own_trixie(&sandbox);
    apt.use_stanza(&stanza(&gateway));
    apt.updates();
    let installed = || apt.run(&["dpkg-query", "-Wf", "${Status} ${Version}", "foo"]).ok().out;
    for id in [&middle.0, &middle.0[..7], &compact(&middle.1), &middle.1] {
        apt.get(&["update", "-S", id]).ok();
        apt.get(&["install", "-S", id, "--allow-downgrades", "foo"]).ok();
        assert_eq!(installed(), "install ok installed 2.0", "{id}");
        apt.get(&["remove", "foo"]).ok();
    }
    apt.get(&["install", "foo"]).ok();
    assert_eq!(installed(), "install ok installed 3.0");
    // Valid-Until holds for snapshots too: apt must be told that an old state is what is wanted.
    let refused = apt.get(&["update", "-S", &expired.0]);
    assert!(refused.code == 100 && refused.err.contains("is expired"), "{refused:?}");
    for (field, option) in [("", "-oAcquire::Check-Valid-Until=false"), ("Check-Valid-Until: no\n", "-q")] {
        let stanza = stanza(&gateway).replace("Suites:", &format!("Snapshot: {}\n{field}Suites:", compact(&expired.1)));
        apt.use_stanza(&stanza);
        apt.get(&["update", option]).ok();
        assert_eq!(apt.versions("foo"), ["1.0"]);
        apt.get(&["install", option, "--allow-downgrades", "foo=1.0"]).ok();
        assert_eq!(installed(), "install ok installed 1.0");
        apt.get(&["remove", "foo"]).ok();
    }
    // A snapshot that does not exist is an error and not something else.
    apt.use_stanza(&stanza(&gateway));
    let unknown = apt.get(&["update", "-S", "0000000"]);
    assert!(unknown.code == 100 && unknown.out.contains("404"), "{unknown:?}");
    gateway.stop();
}

#[test]
fn apt_sees_no_error_while_publishes_run() {
    let sandbox = Sandbox::with_archive();
    publish(&sandbox, "foo", "1");
    let gateway = Gateway::of(&sandbox, &[]);
    let apt = Apt::of_machine(&sandbox);
    apt.use_stanza(&stanza(&gateway));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for version in 2..7 {
                publish(&sandbox, "foo", &version.to_string());
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        let mut rounds = 0;
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            apt.updates();
            apt.get(&["download", "foo"]).ok();
            rounds += 1;
        }
        assert!(rounds > 3, "{rounds}");
    });
    until("the last state is shown", || {
        apt.updates();
        apt.versions("foo") == ["6"]
    });
    gateway.stop();
}
