# Every verb a person types. Each finds the pinned Deno and calls a task of deno.json.
#
#   make DENO=/path/to/deno ...   builds with another Deno (2.4 or newer)

PREFIX ?= /usr/local
DENO ?=
ARGS ?=

task = deno=$$(DENO='$(DENO)' sh toolchain/find_deno.sh) && "$$deno" task --quiet

.PHONY: build demo test e2e torture check fmt install clean help

build: ## the toolchain and dist/sipid (the default)
	@$(task) build

demo: ## build, then run the example job from start to stop
	@$(task) demo

test: ## format, lint, types, unit tests and the tests of dist/sipid
	@$(task) test

e2e: ## with real Monit, Supervisor, MariaDB, nginx; as root, on a machine that may get them
	@$(task) e2e

torture: ## try to break it; ARGS="[--seed N] [long] [PART ...]"; about two minutes, long: forty
	@ARGS='$(ARGS)' $(task) torture

check: ## format, lint and types alone
	@$(task) check

fmt: ## format everything in place
	@$(task) fmt

install: build ## install sipid below PREFIX (default /usr/local); DESTDIR is honoured
	install -D -m 0755 dist/sipid '$(DESTDIR)$(PREFIX)/bin/sipid'

clean: ## remove dist/; the fetched toolchain stays in the user's cache folder
	rm -rf dist

help: ## list these targets
	@awk -F ':[^#]*## ' '/^[a-z0-9]+:.*## /{ printf "  make %-9s %s\n", $$1, $$2 }' Makefile
