# Everything that this project can be asked to do. The work is in scripts/; each script can be run alone.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench lib generated authority setup clean

help: ## this list
	@sed -n 's/^\([a-z]*\): ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: ## from nothing to a token: library, C example, key store, authorization server
	@scripts/demo.sh

test: ## all tests: Rust, C and C++, Python, Go, servers that others wrote, a browser
	@scripts/test.sh

check: ## what needs no server: format, lints, licences, header, exported symbols
	@scripts/check.sh

bench: ## all benchmarks beside their peers; writes docs/performance.md (about ten minutes to build, one to run)
	@scripts/bench.sh

lib: ## the release library, in build/lib
	@scripts/lib.sh release build/lib

generated: ## write the header and docs/options.md anew from the source
	UPDATE_GENERATED=1 cargo test -q --test header

authority: ## run the tests' authorization server (ARGS='--https --register ISSUER=cert.pem')
	cargo run -q -p authority -- $(ARGS)

setup: ## install the tools that the tests need
	@scripts/setup.sh

clean: ## remove all that was built
	rm -rf build
	cargo clean
