# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run ``python -m synod`` as synodctl."""

from synod.cli.main import main

if __name__ == "__main__":
    main()
