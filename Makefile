# The commands a person types. Each target finds the pinned Deno and calls a task of deno.json.
#
#   make DENO_VERSION=2.9 ...     builds with another Deno, from npm (2.4 or newer)
#   make DENO=/path/to/deno ...   builds with a Deno that is there

PREFIX ?= /usr/local
DENO ?=
DENO_VERSION ?=
ARCH ?=
ARGS ?=

# Networks that re-sign TLS need their own authorities; for a bare `deno task`, export the same.
export DENO_TLS_CA_STORE ?= system,mozilla

task = deno=$$(DENO='$(DENO)' DENO_VERSION='$(DENO_VERSION)' sh toolchain/find_deno.sh) && "$$deno" task --quiet

.PHONY: build demo test e2e recipes stress bench next newest check docs release fmt install clean help

build: ## the toolchain and dist/sipid (the default)
	@$(task) build

demo: ## build, then run the example job from start to stop
	@$(task) demo

test: ## check, build, and run the tests of lib and of dist/sipid; as root, installs what they need
	@$(task) test

e2e: ## run it with real Monit, Supervisor, MariaDB and nginx; as root, installs them
	@$(task) e2e

recipes: ## run every code block of docs/recipes under Monit and Supervisor; ARGS="redis nginx" chooses
	@ARGS='$(ARGS)' $(task) recipes

stress: ## try to break each promise; ARGS="[--seed N] [long] [PART ...]"; about two minutes, long: fifteen
	@ARGS='$(ARGS)' $(task) stress

check: ## format, lint, types and generated docs; changes nothing
	@$(task) check

bench: ## measure it next to its peers; writes docs/bench; about twelve minutes
	@ARGS='$(ARGS)' $(task) bench

next: build ## all tests with the Deno that the pin is to move to (2.9), run from the sources
	@DENO_VERSION='$(DENO_VERSION)' sh toolchain/next.sh

newest: ## whether the newest Deno of npm passes lint, types and the unit tests
	@sh toolchain/newest.sh

docs: ## generate docs/sipid.1, lib/version.ts and what quotes docs/bench/results.json
	@$(task) docs

release: build ## an archive, a Debian package and SHA256SUMS in dist; ARCH=arm64 compiles for that
	@ARCH='$(ARCH)' DENO='$(DENO)' DENO_VERSION='$(DENO_VERSION)' sh toolchain/release.sh

fmt: ## format everything in place
	@$(task) fmt

install: build ## install sipid, its man page and completions below PREFIX (default /usr/local); DESTDIR is honoured
	install -D -m 0755 dist/sipid '$(DESTDIR)$(PREFIX)/bin/sipid'
	install -D -m 0644 docs/sipid.1 '$(DESTDIR)$(PREFIX)/share/man/man1/sipid.1'
	install -d '$(DESTDIR)$(PREFIX)/share/bash-completion/completions' \
	  '$(DESTDIR)$(PREFIX)/share/zsh/site-functions' \
	  '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d'
	dist/sipid completions bash >'$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sipid'
	dist/sipid completions zsh >'$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_sipid'
	dist/sipid completions fish >'$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/sipid.fish'

clean: ## remove dist/; the fetched toolchain stays in the user's cache directory
	rm -rf dist

help: ## list these targets
	@awk -F ':[^#]*## ' '/^[a-z0-9]+:.*## /{ printf "  make %-9s %s\n", $$1, $$2 }' Makefile
