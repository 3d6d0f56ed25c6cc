//! What the examples print. `cargo test` builds them, unless it is asked for single test files.

use std::process::Command;

/// Standard output of an example, which must succeed.
fn run(name: &str) -> String {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.set_file_name("examples");
    program.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&program).output();
    let output =
        output.unwrap_or_else(|e| panic!("{}: {e}; build the examples", program.display()));
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn gemm() {
    let text = run("gemm");
    assert!(text.starts_with("A Aᵀ = [14.0, 32.0, 32.0, 77.0]\n"), "{text}");
    assert!(text.contains("0.5 · A Aᵀ + 2 · A Aᵀ = [35.0, 80.0, 80.0, 192.5]\n"), "{text}");
    assert!(text.ends_with("the same bits: true\n"), "{text}");
}

#[test]
fn magnifier() {
    let text = run("magnifier");
    let map = |name: &str| -> Vec<&str> {
        text.lines().skip_while(|line| *line != name).skip(1).take(12).collect()
    };
    let found = |map: &[&str]| -> Vec<(usize, usize)> {
        let of_row = |(y, row): (usize, &&str)| {
            let marks = row.char_indices().filter(|&(_, mark)| mark == '@');
            marks.map(|(x, _)| (y, x)).collect::<Vec<_>>()
        };
        map.iter().enumerate().flat_map(of_row).collect()
    };
    // The bar but for its ends, and the stroke; there is nothing that falls to the right.
    let bar: Vec<_> = (2..9).map(|x| (1, x)).collect();
    assert_eq!(found(&map("horizontal line")), bar, "{text}");
    let stroke: Vec<_> = (3..10).map(|y| (y, 12 - y)).collect();
    assert_eq!(found(&map("diagonal up")), stroke, "{text}");
    assert_eq!(found(&map("diagonal down")), [], "{text}");
}
