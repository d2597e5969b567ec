"""Every field of the manifest that Docker knows reaches the compose file; mistakes are all reported at their place."""

from __future__ import annotations

import pytest

from sindri.errors import ManifestError
from sindri.manifest import parse_manifest
from sindri.providers.base import Choices
from sindri.providers.compose_file import compose_file, project_name
from sindri.providers.docker import DockerProvider
from sindri.providers.settings import Targets

HEAD = 'version: "3"\nname: demo\n'


def generated(text, *, has_variables=False):
    manifest = parse_manifest((HEAD + text).encode(), path="/project/sindri.yaml", display="sindri.yaml")
    targets = Targets(manifest, ("docker", "docker-compose"))
    content = compose_file(manifest, targets, has_variables=has_variables)
    targets.raise_if_any()
    return content


def service(text, **options):
    return generated(text, **options)["services"]["sindri"]


def refusal(text):
    with pytest.raises(ManifestError) as caught:
        service(text)
    return caught.value.problems


def test_the_smallest_manifest_gives_a_whole_service():
    made = service("secrets: []\n", has_variables=True)
    assert made["container_name"] == "demo"
    assert made["env_file"] == [".env.secrets"]
    assert made["volumes"] == ["demo_home:/alt/home/developer"]
    assert made["deploy"] == {"resources": {"limits": {"memory": "4GB", "cpus": "2"}}}
    assert made["cap_drop"] == ["ALL"]


def test_resources_gpu_and_volumes_are_carried():
    made = generated(
        "deployment:\n  image: a/b:1\n  resources: {memory: 8GB, cpus: 4, gpu: {enabled: true, count: 2}}\n"
        "  volumes: {workspace: {path: /work, size: 10GB}}\n"
    )
    one = made["services"]["sindri"]
    assert one["image"] == "a/b:1"
    assert one["deploy"]["resources"]["limits"] == {"memory": "8GB", "cpus": "4"}
    assert one["deploy"]["resources"]["reservations"]["devices"][0]["count"] == 2
    assert one["runtime"] == "nvidia"
    assert "demo_workspace:/work" in one["volumes"]
    assert made["volumes"]["demo_workspace"] == {"name": "demo_workspace", "driver": "local"}


def test_the_providers_block_is_carried_and_dollars_are_doubled():
    made = service(
        "providers:\n  docker:\n    network: host\n    restart: always\n    ports: ['80:80']\n    privileged: true\n"
        "    extraHosts: ['a:1.2.3.4']\n    runtime: runc\n    volumes: ['./data:/data', 'named:/n', '/abs$X:/x']\n"
    )
    assert (made["network_mode"], made["restart"], made["runtime"]) == ("host", "always", "runc")
    assert made["ports"] == ["80:80"]
    assert made["extra_hosts"] == ["a:1.2.3.4"]
    assert made["privileged"] is True
    assert made["volumes"][1:] == ["/project/data:/data", "named:/n", "/abs$$X:/x"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("sysbox", {"runtime": "sysbox-runc"}),
        ("privileged", {"privileged": True}),
        ("socket", {"group_add": ["docker"]}),
        ("auto", {"privileged": True}),
    ],
)
def test_docker_in_docker_has_its_ways(mode, expected):
    made = service(f"providers: {{docker: {{dind: {{enabled: true, mode: {mode}, storageSize: 5GB}}}}}}\n")
    assert expected.items() <= made.items()
    assert "SINDRI_DIND_STORAGE_SIZE=5GB" in made["environment"]


def test_extensions_become_variables():
    made = service("extensions: {profile: minimal, additional: [a, b], autoInstall: false}\n")
    assert {"INSTALL_PROFILE=minimal", "ADDITIONAL_EXTENSIONS=a,b", "SKIP_AUTO_INSTALL=true"} <= set(
        made["environment"]
    )


@pytest.mark.parametrize(
    ("config", "image"),
    [
        ("{registry: r/x, version: 3.0.0, pull_policy: Always}", "r/x:3.0.0"),
        ("{registry: r/x, version: ^3.0.0, tag_override: v3}", "r/x:v3"),
        ("{registry: r/x, version: 3.0.0, digest: 'sha256:ab'}", "r/x@sha256:ab"),
    ],
)
def test_image_config_names_one_image(config, image):
    assert service(f"deployment: {{image_config: {config}}}\n")["image"] == image


def test_a_build_from_source_names_its_reference():
    made = service("deployment: {buildFromSource: {enabled: true, gitRef: v3.1}}\n")
    assert made["build"]["context"].endswith("#v3.1")
    assert "SINDRI_SOURCE_REF=v3.1" in made["environment"]


def test_all_mistakes_are_reported_with_their_place_and_the_nearest_word():
    problems = refusal(
        "deployment: {image_config: {version: ^3.0.0}}\nproviders:\n  docker:\n    restart: allways\n"
        "    netwrok: host\n    privileged: maybe\n    ports: 80\n    dind: {enabled: true, mode: [x]}\n"
    )
    text = "\n".join(problems)
    assert "sindri.yaml:6:14" in text
    assert "did you mean always?" in text
    assert "network" in text
    assert "must be true or false" in text
    assert "must be a list" in text
    assert "must be a single value" in text
    assert "needs `registry`" in text
    assert "is a range" in text


def test_a_block_that_is_no_mapping_and_a_count_that_is_no_number_are_refused():
    assert "must be a mapping" in refusal("deployment: {resources: 3}\n")[0]
    assert "whole number" in refusal("deployment: {resources: {gpu: {enabled: true, count: many}}}\n")[0]


@pytest.mark.parametrize(("name", "expected"), [("My App", "my-app"), ("a_b.c", "a-b-c"), ("--x-1--", "x-1")])
def test_a_project_name_is_one_that_compose_takes(name, expected):
    manifest = parse_manifest(f"name: {name!r}\n".encode(), path="/p/sindri.yaml", display="sindri.yaml")
    assert project_name(manifest) == expected


def test_a_name_without_letters_gives_no_project():
    manifest = parse_manifest(b"name: '---'\n", path="/p/sindri.yaml", display="sindri.yaml")
    with pytest.raises(ManifestError, match="no project name"):
        project_name(manifest)


def test_notes_say_what_docker_does_not_do():
    manifest = parse_manifest(
        (
            HEAD + "deployment: {volumes: {workspace: {size: 9GB}}, image_config: {registry: r, version: '1',"
            " verify_signature: true}}\n"
        ).encode(),
        path="/p/sindri.yaml",
        display="sindri.yaml",
    )
    plan = DockerProvider().plan(manifest, [], Choices(folder="/p/.sindri/docker"))
    assert len(plan.notes) == 2
