//! Completions and manual pages.

mod support;

use support::Sandbox;

#[test]
fn completions_of_every_shell() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = sandbox.loupe(&format!("completions {shell}")).succeeds();
        for word in ["loupe", "export", "batch-size"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    sandbox.loupe("completions tcsh").fails(2, &["bash, elvish, fish, powershell, zsh"]);
}

#[cfg(unix)]
#[test]
fn bash_can_read_its_completions() {
    let sandbox = Sandbox::new();
    sandbox.write("loupe.bash", sandbox.loupe("completions bash").succeeds());
    let checked = std::process::Command::new("bash")
        .args(["-n", "loupe.bash"])
        .current_dir(sandbox.path("."))
        .output();
    // Not every machine has it.
    let Ok(checked) = checked else { return };
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
}

#[test]
fn a_page_for_every_command() {
    let sandbox = Sandbox::new();
    let page = sandbox.loupe("man").succeeds();
    assert!(page.contains(".SH \"EXIT STATUS\""), "{page}");
    let text = sandbox.loupe("man --out pages").succeeds();
    let pages = sandbox.list("pages");
    assert!(text.starts_with(&format!("wrote {} pages to pages", pages.len())), "{text}");
    for name in ["loupe.1", "loupe-train.1", "loupe-eval.1", "loupe-man.1"] {
        assert!(pages.contains(&name.to_owned()), "{name}: {pages:?}");
        let page = String::from_utf8(sandbox.read(&format!("pages/{name}"))).unwrap();
        for part in ["NAME", "SYNOPSIS", "\"EXIT STATUS\"", "LOUPE_ISA"] {
            assert!(page.contains(part), "{name} {part}");
        }
    }
    assert_eq!(String::from_utf8(sandbox.read("pages/loupe.1")).unwrap(), page);
    // Again over the old ones.
    sandbox.loupe("man --out pages").succeeds();
    sandbox.write("file", "");
    sandbox.loupe("man --out file").fails(1, &["file: cannot make the folder"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    for arguments in ["completions bash", "man", "summary", "summary --json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        sandbox.loupe(arguments).stdout(writer).succeeds();
    }
}
