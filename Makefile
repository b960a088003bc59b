# The commands of this repository. `make` alone lists them.

SHELL := /bin/bash
FUZZTIME ?= 30s
export KEEP

.DEFAULT_GOAL := help
.PHONY: help build demo test lint bench fuzz setup clean

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.* ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

build: ## build ./build/thintree
	CGO_ENABLED=0 go build -trimpath -o build/thintree .

demo: ## mount and tour a real pool; KEEP=1 leaves it mounted
	@go run ./tests/demo

test: ## all checks and tests; as root it installs missing Debian packages
	@tests/run

lint: ## gofmt, go vet, staticcheck, shellcheck
	@tests/lint

bench: setup ## measure, beside the kernel's own mounts
	@go run ./tests/bench
	@go test ./tests/guest -run '^$$' -bench . -benchtime 1x

fuzz: ## run each fuzz target for FUZZTIME
	@tests/fuzz $(FUZZTIME)

setup: ## install the Debian packages that tests use, or tell which are missing
	@tests/setup/install

clean: ## remove what was built, and unpacked test pools
	rm -rf build "$${TMPDIR:-/tmp}/thintree-pools-$$(id -u)"
