"""Pages of KServe v1 and TensorFlow Serving."""

from tests.gateway.worlds import World


async def test_a_model_is_told_in_both_protocols_words(here: World) -> None:
    """A model's document has KServe's fields and TensorFlow Serving's."""
    get = here.client.get
    assert (await get("/")).json() == {"status": "alive"}
    assert (await get("/v1/models")).json() == {"models": ["m"]}
    for path in ("", "/versions/1", "/labels/stable"):
        told = (await get(f"/v1/models/m{path}")).json()
        assert (told["name"], told["ready"]) == ("m", True)
        assert told["model_version_status"][0]["version"] == "1"
        assert told["model_version_status"][0]["state"] == "AVAILABLE"
        metadata = (await get(f"/v1/models/m{path}/metadata")).json()
        signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
        assert [one["size"] for one in signature["inputs"]["x"]["tensor_shape"]["dim"]] == ["-1", "30"]
    for path in (
        "nobody",
        "m/versions/9",
        "m/labels/candidate",
        "nobody/labels/stable",
        "m/labels/x/metadata",
    ):
        assert (await get(f"/v1/models/{path}")).status_code == 404
