//! What apt fetched, checked on the client: `verify --lists`.

use super::{MONDAY, plain_archive, verdict};
use crate::client::Apt;
use crate::sandbox::{Run, Sandbox};
use crate::server::Server;

fn look(sandbox: &Sandbox, apt: &Apt<'_>, more: &[&str]) -> Run {
    let lists = format!("--lists={}", apt.path("var/lib/apt/lists").display());
    let run = sandbox.publish(&[&["verify", "--keyring", "pinned.asc", "--json", &lists], more].concat());
    run.json();
    run
}

#[test]
fn what_both_apts_fetched_is_what_was_signed_and_a_changed_list_is_noticed() {
    let sandbox = Sandbox::with_archive();
    let server = Server::of(&sandbox.public());
    let settings = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    let url = format!("[archive]\nurl = \"{}\"\n", server.url());
    std::fs::write(sandbox.archive().join("ddb.toml"), settings.replacen("[archive]\n", &url, 1)).unwrap();
    sandbox.git(&["commit", "-q", "-a", "-m", "Say where clients come"]).ok();
    sandbox.commit(crate::sandbox::cache("out/small"), &[]).ok();
    sandbox.dists(&[]).ok();
    std::fs::copy(sandbox.public().join("archive-keyring.asc"), sandbox.path("pinned.asc")).unwrap();
    let other = plain_archive(MONDAY);
    for apt in Apt::both(&sandbox) {
        apt.use_stanza(&std::fs::read_to_string(sandbox.public().join("trixie.sources")).unwrap());
        apt.updates();
        let answer = look(&sandbox, &apt, &[]).ok().json();
        assert_eq!(answer["suites"].as_array().unwrap().len(), 1);
        let name = answer["suites"][0]["suite"].as_str().unwrap().to_owned();
        assert!(name.ends_with("_dists_trixie_InRelease"), "{name}");
        assert!(answer["suites"][0]["indices"]["files"].as_u64().unwrap() >= 3, "{answer}");
        look(&sandbox, &apt, &[&server.url(), "--suite", "trixie"]).ok();
        // apt fetched nothing of that other address or suite.
        look(&sandbox, &apt, &["http://deb.example.org/"]).exits(27);
        look(&sandbox, &apt, &["--suite", "sid"]).exits(27);
        // Every suite that is asked for has to be there, and has to be that suite.
        let run = look(&sandbox, &apt, &["--suite", "trixie", "--suite", "sid"]).exits(27);
        assert_eq!((run.json()["suites"].as_array().unwrap().len(), verdict(&run).1.len()), (1, 1));
        let lists = |name: &str| apt.path(&format!("var/lib/apt/lists/{name}"));
        let sid = lists(&name.replace("trixie", "sid"));
        std::fs::copy(lists(&name), &sid).unwrap();
        let run = look(&sandbox, &apt, &["--suite", "sid"]).exits(20);
        assert!(run.out.contains("shown in place of that of sid"), "{}", run.out);
        std::fs::remove_file(sid).unwrap();
        // apt reads an index in each of these forms, and Release lists none of these files.
        for file in ["main_binary-amd64_Packages.bz2", "main_binary-amd64_Packages.lz4", "main_binary-riscv64_Packages"] {
            let unlisted = name.replace("InRelease", file);
            std::fs::write(lists(&unlisted), "").unwrap();
            let (class, files) = verdict(&look(&sandbox, &apt, &[]).exits(24));
            assert_eq!((class.as_str(), files), ("index", vec![unlisted.clone()]));
            std::fs::remove_file(lists(&unlisted)).unwrap();
        }
        // A suite whose name begins with that of this one has its own.
        let updates =
            ["InRelease", "main_binary-amd64_Packages.bz2"].map(|file| lists(&name.replace("InRelease", &format!("updates_{file}"))));
        updates.iter().for_each(|path| std::fs::write(path, "").unwrap());
        look(&sandbox, &apt, &["--suite", "trixie"]).ok();
        updates.iter().for_each(|path| std::fs::remove_file(path).unwrap());

        let packages = name.replace("InRelease", "main_binary-amd64_Packages");
        let path = apt.path(&format!("var/lib/apt/lists/{packages}"));
        let good = std::fs::read(&path).unwrap();
        let evil = String::from_utf8(good.clone()).unwrap().replacen("3.23", "3.24", 1);
        std::fs::write(&path, evil).unwrap();
        let (class, files) = verdict(&look(&sandbox, &apt, &[]).exits(24));
        assert_eq!((class.as_str(), files), ("index", vec![packages]));
        std::fs::write(&path, good).unwrap();
        look(&sandbox, &apt, &[]).ok();
        // Signed by somebody else.
        std::fs::copy(sandbox.path("pinned.asc"), sandbox.path("own.asc")).unwrap();
        std::fs::copy(other.path("pinned.asc"), sandbox.path("pinned.asc")).unwrap();
        assert_eq!(verdict(&look(&sandbox, &apt, &[]).exits(20)).0, "signature");
        std::fs::rename(sandbox.path("own.asc"), sandbox.path("pinned.asc")).unwrap();
    }
}
