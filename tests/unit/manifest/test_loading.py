"""What a manifest that loads says."""

from __future__ import annotations

from pathlib import Path

import pytest

from sindri.errors import ManifestError
from sindri.manifest import parse_manifest
from sindri.manifest.checks import default_s3_path
from sindri.model import Backend, EnvSpec, FileSpec, StoreSpec, VaultAddress, VaultSpec

GOOD = Path(__file__).parents[2] / "manifests/good"


def parse(text: str | bytes):
    data = text.encode() if isinstance(text, str) else text
    return parse_manifest(data, path="/project/sindri.yaml", display="sindri.yaml")


def problems(text: str | bytes) -> tuple[str, ...]:
    with pytest.raises(ManifestError) as caught:
        parse(text)
    return caught.value.problems


@pytest.fixture
def every_key():
    return parse((GOOD / "every-key.yaml").read_bytes())


def test_every_key_of_a_secret_arrives(every_key):
    from_env, from_file, from_vault, from_store = every_key.secrets
    assert from_env == EnvSpec(
        name="FROM_ENV",
        line=31,
        column=7,
        required=True,
        allow_empty=True,
        from_file="~/.ssh/id_ed25519.pub",
        s3_path="from/env",
        vault=VaultAddress(path="secret/data/${STAGE}/app", key="2024", mount="kv", version=3),
    )
    assert from_file == FileSpec(
        name="FROM_FILE",
        line=41,
        column=7,
        path="./certs/tls.key",
        mount_path="/etc/ssl/private/app.key",
        permissions=0o600,
        permissions_declared=True,
        owner="app:1000",
    )
    assert from_vault == VaultSpec(
        name="FROM_VAULT",
        line=47,
        column=7,
        fallback="s3",
        s3_path="from/vault",
        vault=VaultAddress(path="secret/data/app", key="true"),
    )
    assert from_store == StoreSpec(
        name="FROM_STORE",
        line=53,
        column=7,
        fallback="vault",
        s3_path="from/store",
        vault=VaultAddress(path="secret/data/app", key="store"),
    )


def test_every_key_of_a_backend_arrives(every_key):
    assert every_key.env_override == "off"
    assert every_key.backend == Backend(
        type="s3",
        bucket="team-secrets",
        region="eu-central-1",
        endpoint="http://127.0.0.1:9000",
        prefix="secrets/${STAGE}/",
        sse="AES256",
        key_source="kms",
        key_env="MASTER",
        key_file="../shared.key",
        kms_key_id="arn:aws:kms:eu-central-1:123456789012:key/abc",
        cache_ttl_seconds=0,
        cache_path="~/.cache/sindri",
        cache_max_stale_seconds=86400,
        trust_store="0123456789abcdef" * 4,
        trust_writer="ed25519:" + "A" * 43 + "=",
        trust_sequence=7,
    )


def test_the_file_itself_is_described(every_key):
    assert (every_key.path, every_key.display, every_key.folder) == ("/project/sindri.yaml", "sindri.yaml", "/project")
    assert (every_key.version, every_key.name, every_key.provider) == ("3", "every-key", "docker")
    assert every_key.warnings == ()


def test_a_list_of_secrets_has_the_defaults_of_the_long_form():
    manifest = parse("secrets: [{name: A, source: env}]")
    assert (manifest.env_override, manifest.backend) == ("shell", None)


def test_a_folder_store_has_no_prefix():
    manifest = parse("secrets: {backend: {type: local, path: store, prefix: a/}}")
    assert manifest.backend is not None
    assert manifest.backend.prefix == ""
    assert "`prefix` has no effect with `type: local`" in manifest.warnings[0].text


@pytest.mark.parametrize("text", ["secrets:", "secrets: ~", "secrets: []", "secrets: {}", "secrets: {secrets: }"])
def test_no_secrets_may_be_written_in_many_ways(text):
    assert parse(text).secrets == ()


def test_the_modes_of_permissions_are_octal_however_they_are_written():
    secrets = parse((GOOD / "modes.yaml").read_bytes()).secrets
    assert [(spec.permissions, spec.permissions_declared) for spec in secrets] == [
        (0o600, True),
        (0o600, True),
        (0o600, True),
        (0o777, True),
        (0o644, False),
    ]


def test_a_folder_that_is_declared_may_lie_outside_of_the_project():
    manifest = parse("secrets: {backend: {type: local, path: ../team-store, encryption: {key_file: ../k}}}")
    assert manifest.backend is not None
    assert manifest.backend.path == "../team-store"


def test_keys_of_other_parts_are_carried_with_their_positions():
    carried = parse((GOOD / "carried.yaml").read_bytes()).carried
    assert set(carried) == {"extensions", "metadata"}
    profile = carried["extensions"].value["profile"]
    assert (profile.value, profile.plain, profile.line, profile.column) == ("minimal", True, 2, 12)
    assert carried["extensions"].value["merge"].value["<<"].value == "kept as it is"
    assert carried["metadata"].value["notes"].value == "Several\nlines.\n"
    assert not carried["metadata"].value["notes"].plain


def test_a_carried_list_is_a_tuple_of_nodes():
    (first, second) = parse("x: [1, '1']").carried["x"].value
    assert (first.value, first.plain, second.value, second.plain) == ("1", True, "1", False)


@pytest.mark.parametrize(
    ("text", "provider"),
    [
        ("provider: docker-compose\ndeployment: {provider: docker}", "docker"),
        ("deployment: {provider: docker-compose}", "docker"),
        ("provider: fly", "fly"),
        ("deployment: {image: x}", None),
        ("deployment:", None),
        ("name: x", None),
    ],
)
def test_the_target_is_named_in_either_place(text, provider):
    assert parse(text).provider == provider


def test_aliases_stand_for_what_they_name():
    one, two = parse((GOOD / "aliases.yaml").read_bytes()).secrets
    assert one.vault.path == two.vault.path == "secret/data/app"


def test_an_env_override_of_all_gives_from_file_an_effect():
    text = "secrets: {env_override: all, secrets: [{name: A, source: s3, s3_path: a, fromFile: ./a}]}"
    assert parse(text).warnings == ()


def test_the_advice_has_an_end():
    """difflib is asked for the first hundred mistakes only: a megabyte of them must not become minutes."""
    keys = "".join(f"    required{number}: 1\n" for number in range(150))
    found = problems(f"secrets:\n  - name: A\n    source: env\n{keys}")
    assert len(found) == 150
    assert sum("did you mean `required`?" in problem for problem in found) == 100


def test_a_name_that_holds_a_value_is_shown_without_it(canary):
    assert problems(f"secrets: [{{name: 'TOKEN={canary}', source: env}}]") == (
        "sindri.yaml:1:18: `name` is `TOKEN…`; a name is made of letters, digits and `_`, and begins with no digit",
    )


def test_a_secret_that_is_mere_text_is_not_shown(canary):
    assert not any(canary in problem for problem in problems(f"secrets:\n  - TOKEN={canary}\n"))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ANTHROPIC_API_KEY", "anthropic/api-key"),
        ("DATABASE_PASSWORD", "database/password"),
        ("TOKEN", "token"),
        ("A_", None),
        ("_A", None),
        ("CON_KEY", None),
    ],
)
def test_the_default_path_in_the_store_follows_from_the_name(name, path):
    assert default_s3_path(name) == path


@pytest.mark.parametrize("number", ["+5", "5", "0x5", "0o5"])
def test_a_number_may_have_any_spelling_of_the_core_schema(number):
    text = f"secrets: [{{name: A, source: vault, vaultPath: a, vaultKey: k, vaultVersion: {number}}}]"
    assert parse(text).secrets[0].vault.version == 5


@pytest.mark.parametrize("number", ["5.0", "1_000", "0b1", "-0o7", "0o", "-5", "0", "9" * 5000, "\u0665", "''"])
def test_what_is_no_number_from_one_on_is_refused(number):
    (problem,) = problems(f"secrets: [{{name: A, source: vault, vaultPath: a, vaultKey: k, vaultVersion: {number}}}]")
    assert "expected a whole number from 1 on" in problem
