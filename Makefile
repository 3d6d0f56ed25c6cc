# `make check` is what a change must pass before it is pushed.
.PHONY: check lint test outside package bench peers fuzz-build

# A crate that is no member of the workspace; what both need is built once.
OUTSIDE = --manifest-path model/tests/outside/Cargo.toml
SHARED = --target-dir "$${CARGO_TARGET_DIR:-target}"

check: lint test outside

# Form, lints, documentation with private items, and where `unsafe` may stand.
lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	cargo fmt $(OUTSIDE) --check
	cargo clippy $(OUTSIDE) $(SHARED) --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	./scripts/check-unsafe

test:
	cargo test --workspace

# Networks built by the public API alone, trained beside PyTorch.
outside:
	cargo test $(OUTSIDE) $(SHARED)

# The packages of the libraries, each built from what is in it.
package:
	cargo package -p loupe-engine -p loupe-model $(ARGS)

bench:
	cargo bench

# loupe beside other libraries; options as in `make peers ARGS="--rounds 3 --only 'cnn train'"`.
peers:
	python3 benches/peers/compare.py $(ARGS)

# Needs a nightly toolchain and cargo-fuzz.
fuzz-build:
	cd fuzz && cargo +nightly fuzz build
