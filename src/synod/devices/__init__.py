# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices that switch nodes off; synod.devices.register.FenceRegister is the interface."""
