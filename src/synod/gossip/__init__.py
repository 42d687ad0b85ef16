# SPDX-License-Identifier: LGPL-2.1-or-later
"""SWIM: who seems to be alive, and small facts about nodes, carried to everyone; decides nothing."""
