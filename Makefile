# SPDX-License-Identifier: LGPL-2.1-or-later
# Run as root on Debian 12. Every target installs what it needs.

BUILD := build
VENV := $(BUILD)/venv
# Debian's interpreter and its modules: what is tested is what the package uses.
PYTHON := /usr/bin/python3

HOST_PACKAGES := build-essential dbus dbus-daemon debhelper debian-archive-keyring devscripts dh-python dpkg-dev git groff-base iproute2 lintian man-db mmdebstrap \
	nftables pybuild-plugin-pyproject python3-all python3-click python3-cryptography python3-dbus-fast \
	python3-dbus-next python3-docutils python3-msgpack python3-pyroute2 python3-pystemd python3-setuptools \
	python3-uvloop python3-venv systemd-container

STORMS := tests/sim/test_seeds.py

.PHONY: help demo check check-fast soak deb setup bench-generator bench-failover faults soak clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: host deb ## three nodes, a database, its web service, a power loss: the promises, live (below 90 s)
	@tools/host-setup curl
	@PYTHONPATH=src:tools $(PYTHON) -B -m demo --output $(BUILD)/demo

# The 1,000 storms need a processor and nothing else; the tests on real nodes mostly wait.
check: setup deb ## everything that CI runs: linters, types, contracts, tests, simulator, real nodes
	@nice -n 10 $(VENV)/bin/python -B -m pytest -q -p no:cacheprovider $(STORMS) >$(BUILD)/storms.log 2>&1 & storms=$$!; \
	trap "kill $$storms" INT TERM; \
	$(VENV)/bin/python -B -m pytest -q --ignore=$(STORMS); rest=$$?; \
	wait $$storms; calm=$$?; cat $(BUILD)/storms.log; [ $$rest$$calm = 00 ]

check-fast: setup ## the same without real nodes and with few seeds: a minute or two, for every save
	@SYNOD_SEEDS=100 $(VENV)/bin/python -B -m pytest -q -m "not system"

# make soak SEEDS=1000 FROM=500 plays the seeds 500 to 1499.
SEEDS := 100000
FROM := 0

soak: setup ## storms of 100,000 seeds in the simulator (hours); stops at the first that breaks an invariant
	@PYTHONPATH=src $(VENV)/bin/python -B tools/soak.py --from $(FROM) --seeds $(SEEDS)

deb: host ## build/synod_*_all.deb; rebuilt only when a source has changed
	@packaging/build-deb $(BUILD)

bench-generator: setup ## the generator's time over the number of unit files
	@$(VENV)/bin/python -B tools/bench_generator.py

bench-failover: host deb ## time until what a lost node ran is up elsewhere, against Pacemaker (6 minutes)
	@PYTHONPATH=src:tools $(PYTHON) -B -m bench_failover --output $(BUILD)/bench

FAULTS := 104
faults: host deb ## FAULTS recorded fault runs on real nodes with a witness (25 minutes)
	@PYTHONPATH=src:tools $(PYTHON) -B -m faults --runs $(FAULTS) --deb $(BUILD)/synod_*_all.deb --output $(BUILD)/faults

setup: host $(VENV)/.ready ## host packages and the virtual environment of the tests

.PHONY: host
host:
	@tools/host-setup $(HOST_PACKAGES)

$(VENV)/.ready: tools/requirements.txt | host
	$(PYTHON) -m venv --system-site-packages $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -r tools/requirements.txt
	touch $@

clean: ## remove what was built; cached root file systems of the lab stay
	rm -rf $(BUILD)
