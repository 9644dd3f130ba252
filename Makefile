# Short names for what CMake, CTest and the scripts do. `make help` lists them.

BUILD = build
JOBS = $(shell nproc)
prefix = /usr/local
DESTDIR =
SECONDS = 60
CMAKE_FLAGS =

.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := all
PACKAGES = build data
.PHONY: all help deps check demo install sanitize fuzz bench format lint clean

# $(call build,FOLDER,OPTIONS,TARGETS): configures a folder unless it is, with Ninja where that is installed, and builds.
# What an unfinished configuration left (it may name another generator, or miss what has been installed since) goes first.
define build
@if [ ! -e $(1)/build.ninja ] && [ ! -e $(1)/Makefile ]; then \
    rm -rf $(1)/CMakeCache.txt $(1)/CMakeFiles && \
    cmake -S . -B $(1) $$(! command -v ninja >/dev/null || echo -G Ninja) $(2) $(CMAKE_FLAGS) || \
    { echo "If something is missing, 'make deps' installs it." >&2; exit 1; } fi
@cmake --build $(1) -j $(JOBS) --target $(3)
endef

all: ## build the library and the command, build/theriac (the default)
	$(call build,$(BUILD),-DCMAKE_BUILD_TYPE=Release,all)

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s%s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Variables: JOBS=N processes at once, CMAKE_FLAGS=... for the first configuration, such as -DTH_NATIVE=OFF"

deps: ## install the Debian packages that are missing, as root or with sudo
	@scripts/deps $(PACKAGES)

check: PACKAGES += check
check: deps ## install what is missing, build, and run every test
	$(call build,$(BUILD),-DCMAKE_BUILD_TYPE=Release,all tests)
	@scripts/check $(BUILD) $(JOBS)

demo: deps all ## install what is missing, build, and show what guarding and cleaning do: out/demo/report.html
	$(BUILD)/theriac demo $(ARGS)

install: all ## install below prefix=/usr/local, or into a package with DESTDIR=FOLDER
	@DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(prefix)"

sanitize: ## build with the address and undefined-behaviour sanitizers in build-sanitize, and run the tests there
	$(call build,build-sanitize,-DCMAKE_BUILD_TYPE=RelWithDebInfo -DTH_SANITIZE=address$(,)undefined,all tests)
	@scripts/check build-sanitize $(JOBS)

fuzz: PACKAGES += fuzz
fuzz: deps ## fuzz each parser for SECONDS=60 with clang's libFuzzer, from tests/fuzz/corpus into out/fuzz
	$(call build,build-fuzz,-DCMAKE_C_COMPILER=clang -DTH_FUZZ=ON -DTH_SANITIZE=address$(,)undefined,fuzz)
	@scripts/fuzz build-fuzz $(SECONDS) $(JOBS)

bench: all ## time a full training step of CLIP ViT-B/32, in f32 and in bf16
	$(BUILD)/theriac bench step clip-vit-b32 --batch 64 --dtype f32
	$(BUILD)/theriac bench step clip-vit-b32 --batch 64 --dtype bf16

format: ## format the C files
	@scripts/lint-format --fix

lint: ## formatting, the order of the rooms, and what a library must not do
	@scripts/lint

clean: ## remove what was built
	rm -rf $(BUILD) build-sanitize build-fuzz

, := ,
