# SPDX-License-Identifier: LGPL-2.1-or-later

BUILD := build

.PHONY: deb

# The Debian package of the working tree, build/synod_*_all.deb; rebuilt only when a source has changed.
deb:
	@packaging/build-deb $(BUILD)
