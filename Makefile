# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

PYTHON ?= python3
INVENTORY ?=
CHECK ?=
POLICY ?=
SUITE ?=
KEEP ?=
ARGS ?=

DEV = $(PYTHON) tools/dev.py

.DEFAULT_GOAL := help
.PHONY: help setup run test quick units sanity lint fix render molecule integration bench soak clean distclean

help: ## show this text
	@echo 'Usage: make TARGET [VARIABLE=VALUE ...]. What is missing on the machine is installed on first use.'
	@echo
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

setup: ## make all environments now (every other target makes those it needs)
	$(DEV) setup all

run: ## tune a virtual router and reboot it (SUITE, KEEP=1), or the routers of INVENTORY=file (CHECK=1 changes nothing); POLICY=file
	@$(DEV) in run python tools/run.py $(if $(INVENTORY),--inventory '$(INVENTORY)') $(if $(CHECK),--check) $(if $(POLICY),--policy '$(POLICY)') \
		$(if $(SUITE),--suite '$(SUITE)') $(if $(KEEP),--keep) $(if $(ARGS),-- $(ARGS))

test: ## everything, two things at a time; goes on after a failure
	$(DEV) test

quick: ## what needs no virtual machine and less than three minutes
	$(DEV) test --quick

units: ## unit tests on the oldest and the newest ansible-core; ARGS='-- tests/unit/plugins/module_utils/test_x.py'
	$(DEV) units $(ARGS)

sanity: ## ansible-test sanity on both; ARGS='--core newest -- --test validate-modules'
	$(DEV) sanity $(ARGS)

lint: ## all linters, or ARGS='ruff yamllint'
	$(DEV) lint $(ARGS)

fix: ## let ruff put right what it can
	$(DEV) in lint ruff check --fix .

render: ## write anew the texts that stem from the catalogue of settings
	$(DEV) in unit python tools/render.py

molecule: ## the role and modules on virtual machines; ARGS='-s default'
	$(DEV) in molecule molecule test $(or $(ARGS),-s default -s boot -s nat -s flows -s confirm -s drift)

integration: ## modules against this machine's kernel, in namespaces
	$(DEV) pytest tests/integration $(ARGS)

bench: ## measure speed and memory
	$(DEV) in run python tests/bench/bench.py $(ARGS)

soak: ## what takes too long for `make test`: a million spoilt messages, samples of 200 tables, policies killed at every write, and virtual machines: the initramfs, resets at every point, every drift on every release
	NETFLEET_FUZZ=1000000 $(DEV) pytest tests/unit/plugins/module_utils/test_hostile_netlink.py
	NETFLEET_TABLES=200 $(DEV) pytest -s tests/integration/test_flow_info.py -k intervals
	NETFLEET_MOMENTS=all $(DEV) pytest -s tests/integration/test_policy_killed.py tests/integration/test_policy_confirm_killed.py
	NETFLEET_RESETS=all NETFLEET_DRIFTS=all $(DEV) in molecule molecule test $(or $(ARGS),-s initramfs -s confirm -s drift)

clean: ## remove copies, logs and reports; environments and images stay
	rm -rf .cache/stage .cache/logs .cache/collections .ansible collections dist tests/output .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -path ./.cache -prune -o -path ./.git -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## remove everything that was made
	rm -rf .cache
