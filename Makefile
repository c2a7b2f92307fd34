# Commands of this project. The work is in scripts/; each script can be run alone.
.DEFAULT_GOAL := help
.PHONY: help demo test test-all interop fuzz soak check coverage mutants bench lib install uninstall package wheel generated mock-server setup clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\): ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: ## build library and C example, start a mock authorization server, get a token
	@scripts/demo.sh

test: ## run all tests but `make interop`: Rust, C and C++, Python, Go, real servers, a browser
	@scripts/test.sh

test-all: ## run all tests: `make test`, `make interop` and `make soak` (several hours)
	@scripts/test.sh all keycloak hydra
	@scripts/soak.sh

interop: ## run the tests with the large servers that others wrote: Keycloak and Hydra
	@scripts/test.sh keycloak hydra

fuzz: ## run each target of fuzz/ for 20 seconds, as `make test` does
	@scripts/test.sh fuzz

soak: ## run the long tests and write docs/soak-report.md: damaged key files, 50,000 forks, sanitizers, each failing system call, Miri, FIPS, reproducible packages, schedules, an hour of fuzzing
	@scripts/soak.sh

check: ## run the checks that need no server: format, lints, documentation, licences, header, exported symbols
	@scripts/check.sh

coverage: ## measure which lines of src the Rust tests execute, and list in build/coverage those that none does
	@scripts/coverage.sh

mutants: ## run the mutation tests of the modules in .cargo/mutants.toml (some hours; `make test` runs a sample)
	@scripts/mutants-orderings.sh
	@scripts/mutants.sh

bench: ## run all benchmarks next to their peers; writes docs/performance.md (about ten minutes to build, one to run)
	@scripts/bench.sh

lib: ## build the release library, shared and static, in build/lib
	@scripts/lib.sh release build/lib

install: ## copy what `make lib` built to PREFIX=/usr/local, below DESTDIR (also LIBDIR, INCLUDEDIR, DOCDIR)
	@scripts/install.sh install

uninstall: ## remove what `make install` copied, with the same variables
	@scripts/install.sh uninstall

package: ## build the portable library, and in dist its packages: tar.gz and Debian
	@scripts/package.sh

wheel: ## build the Python package in dist
	@scripts/wheel.sh

generated: ## rewrite the header, the generated pages of docs and the golden message texts
	@scripts/setup.sh build keys
	UPDATE_GENERATED=1 cargo test -q --test it -- generated_files key_corpus message_texts

mock-server: ## run the mock authorization server of the tests (ARGS='--https --register ISSUER=cert.pem')
	cargo run -q -p mock_server -- $(ARGS)

setup: ## install the tools that the tests need
	@scripts/setup.sh

clean: ## remove all build output
	rm -rf build dist
	cargo clean
