"""What `deploy` refuses before it begins."""

from __future__ import annotations


def test_checking_values_without_a_dry_run_would_be_a_deploy_and_is_refused(sindri):
    done = sindri("deploy", "--check-values")
    assert done.returncode == 2
    assert b"--check-values belongs to --dry-run" in done.stderr
