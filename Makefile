# Everything that this project can be asked to do. The work is in scripts/; each script can be run alone.
.DEFAULT_GOAL := help
.PHONY: help demo test soak check mutants bench lib generated mock-server setup clean

help: ## this list
	@sed -n 's/^\([a-z-]*\): ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: ## from nothing to a token: library, C example, key store, authorization server
	@scripts/demo.sh

test: ## all tests: Rust, C and C++, Python, Go, servers that others wrote, a browser
	@scripts/test.sh

soak: ## key files damaged at every byte and at random, and 50,000 forks beside busy threads: some twenty minutes
	AUTHGRANT_SOAK=1 cargo test --test it key_
	AUTHGRANT_FORKS=50000 AUTHGRANT_VALGRIND=0 scripts/test.sh c

check: ## what needs no server: format, lints, licences, header, exported symbols
	@scripts/check.sh

mutants: ## mutation tests of the modules in .cargo/mutants.toml (some hours; `make test` runs a sample)
	@scripts/mutants-orderings.sh
	@scripts/mutants.sh

bench: ## all benchmarks beside their peers; writes docs/performance.md (about ten minutes to build, one to run)
	@scripts/bench.sh

lib: ## the release library, in build/lib
	@scripts/lib.sh release build/lib

generated: ## write the header and the pages docs/options.md, docs/providers.md and docs/keys.md from the source
	UPDATE_GENERATED=1 cargo test -q --test it -- generated_files key_corpus

mock-server: ## run the mock authorization server of the tests (ARGS='--https --register ISSUER=cert.pem')
	cargo run -q -p mock_server -- $(ARGS)

setup: ## install the tools that the tests need
	@scripts/setup.sh

clean: ## remove all that was built
	rm -rf build
	cargo clean
