# `make check` is what a change must pass before it is pushed.
.PHONY: check lint test sanitize load deny package bench peers fuzz

check: lint test

# Form, lints, documentation with private items, and where `unsafe` may stand.
lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	./scripts/check-unsafe

test:
	cargo test --workspace

# Undefined behaviour and data races; needs a nightly toolchain with miri and rust-src. One way alone:
# `make sanitize ARGS=miri`.
sanitize:
	./scripts/sanitize $(ARGS)

# Hours of use in minutes: plans, predictions, memory.
load:
	cargo test -p loupe-model --test load -- --ignored --nocapture

# Licences, sources, versions and advisories of all dependencies; needs cargo-deny.
deny:
	cargo deny --locked check $(ARGS)

# The packages of the libraries, each built from what is in it.
package:
	cargo package -p loupe-engine -p loupe-model $(ARGS)

bench:
	cargo bench

# loupe beside other libraries; options as in `make peers ARGS="--rounds 3 --only 'cnn train'"`.
peers:
	python3 benches/peers/compare.py $(ARGS)

# Needs a nightly toolchain and cargo-fuzz; one target for a minute: `make fuzz ARGS="gemm 60"`.
fuzz:
	./scripts/fuzz $(ARGS)
