# SPDX-License-Identifier: Apache-2.0
# The words people type; meson does the work.
#
#   make          build/coffer
#   make check    build and run every test
#   make demo     a tour on real files, cleaned up afterwards
#   make bench    measure against other programs
#   make lint     layers, format, static analysis, scripts, man pages
#   make asan     the tests under AddressSanitizer and UBSan; tsan: under TSan
#   make fuzz     every fuzz target for FUZZ_SEC seconds
#   make soak     the simulator for SOAK_STEPS steps, and all its mutants; a
#                 MooseFS master and each disaster, ten times
#   make cover    which lines the tests reach
#   make install  to PREFIX (/usr/local), below DESTDIR
#
# Where a package is missing it is installed by name, see tools/deps.

B ?= build
PREFIX ?= /usr/local
FUZZ_SEC ?= 60
export FUZZ_SEC
SOAK_STEPS ?= 1000000

SETUP = meson setup --prefix=$(PREFIX) $(if $(CI),-Dwerror=true)

.NOTPARALLEL:
.PHONY: all check demo bench lint asan tsan fuzz soak cover install clean

all:
	@tools/deps build
	@test -f $(B)/build.ninja || $(SETUP) $(B)
	@ninja -C $(B) coffer

check:
	@tools/deps build check lab
	@test -f $(B)/build.ninja || $(SETUP) -Dtests=enabled $(B)
	@grep -q tests/lab/test_ceph $(B)/build.ninja || \
		meson setup --reconfigure -Dtests=enabled -Dceph=enabled $(B)
	@ninja -C $(B)
	@tools/run-tests $(B)

demo: all
	@tools/deps build demo
	@COFFER=$(abspath $(B))/coffer tools/demo

bench: all
	@COFFER=$(abspath $(B))/coffer bench/run
	@COFFER=$(abspath $(B))/coffer bench/prune
	@tools/deps lab
	@COFFER=$(abspath $(B))/coffer bench/rbd
	@COFFER=$(abspath $(B))/coffer bench/moosefs

lint:
	@tools/deps build check lab lint
	@test -f $(B)/build.ninja || $(SETUP) -Dtests=enabled $(B)
	@tools/lint $(B)

asan tsan:
	@tools/deps build check lab $@
	@tools/sanitize $@

fuzz:
	@tools/deps build check fuzz
	@tools/fuzz

soak:
	@tools/deps build check lab
	@test -f $(B)/build.ninja || $(SETUP) -Dtests=enabled $(B)
	@test -d $(B)/tests || meson setup --reconfigure -Dtests=enabled $(B)
	@ninja -C $(B) coffer tests/sim/sim tests/lab/mfsops
	@$(B)/tests/sim/sim --random --total $(SOAK_STEPS) --want
	@tests/sim/mutants/run $(B) $(B)/tests/sim/sim all
	@tests/spin/run-spin soak
	@COFFER=$(abspath $(B))/coffer MFS_ROUNDS=10 MFS_OPS=1000000 \
		bats tests/lab/mfs_disasters.bats

cover:
	@tools/deps build check lab cover
	@tools/cover

install: all
	@meson configure --prefix=$(PREFIX) $(B)
	@ninja -C $(B) coffer
	@meson install --no-rebuild -C $(B)

clean:
	rm -rf build build-asan build-tsan build-fuzz build-cover demo
