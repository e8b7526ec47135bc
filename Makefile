# Dragonfly: all that a person types. `make` alone prints this list.
# What a bare Debian lacks is installed by `setup`, which every target calls and which is silent
# when nothing lacks; scripts/packages says what and why.

.DEFAULT_GOAL := help
.NOTPARALLEL:

# rustup's own place, for shells that have not read its file yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help run test test-long check bench fuzz lab lab-tools agent-env lab-agent lab-image lab-long setup build \
	check-format check-lints check-docs check-dependencies check-scripts

help: ## print this list
	@printf 'Dragonfly. make …\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile \
	| while IFS='|' read -r name text; do printf '  %-10s  %s\n' "$$name" "$$text"; done
	@printf '\nEach one installs what it lacks (Debian) and builds what it needs.\n'

run: build lab-agent ## the lab: two blank machines become servers beside a DHCP server; ONLY=server: the daemon alone; FOR=, PORT=, DIR=
	@FOR='$(FOR)' PORT='$(PORT)' DIR='$(DIR)' ONLY='$(ONLY)' scripts/run

test: setup lab-tools lab-agent lab-image ## all tests but the long ones, then the daemon once; ends with PASSED or FAILED
	@scripts/test

test-long: test lab-long ## the above, then the long tests
	@scripts/test long

check: setup check-format check-scripts check-dependencies check-lints check-docs ## format, lints, docs, dependencies, scripts; before every commit
	@echo 'make check: PASSED'

bench: setup lab-tools lab-agent lab-image ## speed against peers; ONLY=store, api, net, image, boot or fleet for one, BENCH=the beginning of a name in the last four
	@scripts/bench '$(ONLY)'

fuzz: setup ## fuzz and property tests with very many cases; ONLY=part of a name, FUZZ_CASES=, PROPTEST_CASES=
	@scripts/fuzz '$(ONLY)'

build: setup ## the release binaries, target/release/dragonfly and dragonfly-lab
	@cargo build --locked --release --features lab --bins

lab: setup ## set up the lab under build/lab and build dragonfly-lab (docs/lab.md)
	@scripts/setup-lab
	@cargo build --locked --features lab --bin dragonfly-lab
	@echo 'As root: target/debug/dragonfly-lab help'

# Its tests say that they are skipped where there is none.
lab-tools:
	@scripts/setup-lab || echo 'Going on without the lab.'

agent-env: setup ## the boot environment, build/agent; ARCH=arm64 for that one, AGAIN=1 with the packages of today
	@image/agent/build $(if $(AGAIN),--again) $(ARCH)

lab-agent: setup
	@image/agent/build || echo 'Going on without the boot environment.'

# What the lab's machines are turned into; its tests say that they are skipped where there is none.
lab-image: lab-tools
	@scripts/lab-image || echo 'Going on without the image for the lab.'

# What only the long tests need: the boot environment for arm64 and Debian's own installer.
lab-long: lab-tools
	@image/agent/build arm64 || echo 'Going on without the boot environment for arm64.'
	@scripts/lab-installer || echo 'Going on without the installer for the lab.'

setup: ## install what this machine lacks, saying so first
	@scripts/setup

check-format:
	cargo fmt --check

check-lints:
	cargo clippy --locked --all-targets --all-features -- -D warnings

check-docs:
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --all-features

check-dependencies:
	@scripts/dependencies

check-scripts:
	@for script in scripts/* image/agent/build image/agent/cross .ci/run; do \
		case "$$(head -n 1 "$$script")" in '#!/bin/sh') sh -n "$$script" || exit 1 ;; esac; \
	done
