# Every verb a person types. Each finds the pinned Deno and calls a task of deno.json.
#
#   make DENO_VERSION=2.9.6 ...   builds with another Deno, from npm (2.4 or newer)
#   make DENO=/path/to/deno ...   builds with a Deno that is there

PREFIX ?= /usr/local
DENO ?=
DENO_VERSION ?=
ARGS ?=

task = deno=$$(DENO='$(DENO)' DENO_VERSION='$(DENO_VERSION)' sh toolchain/find_deno.sh) && "$$deno" task --quiet

.PHONY: build demo test e2e stress bench newest check docs release fmt install clean help

build: ## the toolchain and dist/sipid (the default)
	@$(task) build

demo: ## build, then run the example job from start to stop
	@$(task) demo

test: ## format, lint, types, unit tests and the tests of dist/sipid
	@$(task) test

e2e: ## with real Monit, Supervisor, MariaDB, nginx; as root, on a machine that may get them
	@$(task) e2e

stress: ## try to break it; ARGS="[--seed N] [long] [PART ...]"; about two minutes, long: fifteen
	@ARGS='$(ARGS)' $(task) stress

check: ## format, lint and types alone
	@$(task) check

bench: ## measure it next to its peers; writes docs/bench; about six minutes
	@ARGS='$(ARGS)' $(task) bench

newest: ## whether the newest Deno of npm passes lint, types and the unit tests
	@sh toolchain/newest.sh

docs: ## generate docs/sipid.1 and lib/version.ts
	@$(task) docs

release: build ## dist/sipid-VERSION-linux-ARCH.tar.gz and SHA256SUMS; prints the lines for BOSH
	@sh toolchain/release.sh

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
