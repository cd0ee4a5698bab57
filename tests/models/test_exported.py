"""Exported programs and ONNX graphs, for any batch, against the model; and their folder."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

import scaledis
from scaledis.core import files, portable
from scaledis.core.errors import UserError
from tests import tiny

IMAGES = tiny.dataset().images(np.arange(7))
KINDS = {
    "a ladder": {"method__name": "scale_vlae", "model__network": ""},
    "a flat one of a Bernoulli": {
        "method__name": "vae",
        "model__network": "",
        "objective__likelihood": "bernoulli",
    },
    "a prior from the top down": {"method__name": "nvae"},
}


def random(**overrides):
    """A model whose parameters are all random, of a population that pads it where it is a ladder."""
    flat = overrides["method__name"] == "vae"
    sizes = [{"model__latents": 3}] * 2 if flat else [{"model__allocation": (2, 1)}, {"model__allocation": (1, 2)}]
    configs = [tiny.config(seed=seed, **size, **overrides) for seed, size in enumerate(sizes)]
    population = tiny.population(configs, tiny.dataset())
    runs, rng = population.init(), np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape).astype("f"), runs.state.params)
    return population.model(runs._replace(state=runs.state._replace(params=params)), 1)


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return random(**KINDS[request.param])


def assert_near(one, other):
    """Within 1e-5 of the largest number."""
    assert one.shape == other.shape and one.dtype == np.float32
    assert np.abs(one - other).max() <= 1e-5 * np.abs(other).max() and np.ptp(other) > 0


def test_a_program_is_the_model_for_any_batch(model, tmp_path):
    model.export(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decode.jax", "encode.jax", "export.json"]
    exported, codes = scaledis.load_exported(tmp_path), model.encode(IMAGES)
    found = exported.encode(IMAGES)
    for one, other in zip(found[:2], codes[:2], strict=True):
        assert_near(one, other)
    np.testing.assert_array_equal(found.levels, codes.levels)
    assert_near(exported.decode(codes.mean), model.decode(codes.mean))
    assert exported.encode(IMAGES[:0]).mean.shape == (0, 3) and exported.decode(np.zeros((40, 3))).shape[0] == 40
    about = json.loads(json.dumps(model.about))
    assert {key: exported.about[key] for key in about} == about and repr(exported).endswith(", step 0)")
    plain = jax.export.deserialize(bytearray((tmp_path / "decode.jax").read_bytes()))
    assert_near(np.asarray(plain.call(codes.mean)[0]), model.decode(codes.mean))
    assert {*plain.platforms} == {"cpu", "cuda", "rocm", "tpu"}


def test_an_onnx_graph_is_the_model_for_any_batch(model, tmp_path):
    onnxruntime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    model.export(tmp_path, format="onnx")
    codes = model.encode(IMAGES)
    decode = onnxruntime.InferenceSession(tmp_path / "decode.onnx")
    encode = onnxruntime.InferenceSession(tmp_path / "encode.onnx")
    for found, expected in zip(encode.run(None, {"images": IMAGES}), codes[:2], strict=True):
        assert_near(found, expected)
    assert_near(*decode.run(None, {"codes": codes.mean}), model.decode(codes.mean))
    assert [each.name for each in encode.get_outputs()] == ["mean", "log_variance"]
    assert encode.get_inputs()[0].shape == ["batch", 16, 16, 3] and encode.get_inputs()[0].type == "tensor(uint8)"
    nodes = [node.op_type for node in onnx.load(tmp_path / "decode.onnx").graph.node]
    assert nodes.count("ConvTranspose") == 4 and "Identity" not in nodes[:-1]
    about = files.read_json(tmp_path / "export.json", needs_seal=True)
    assert about["arrays"]["decode"] == {"input": "codes", "outputs": ["images"]} and len(about["levels"]) == 3
    with pytest.raises(UserError, match="holds onnx files, which onnxruntime reads"):
        scaledis.load_exported(tmp_path)


def test_a_program_needs_no_code_of_its_network(tmp_path):
    model = random(method__name="scale_vlae")
    model.export(tmp_path)
    code = (
        "import sys, jax.export, numpy as np; data = bytearray(open(sys.argv[1], 'rb').read());"
        "print(float(jax.export.deserialize(data).call(np.ones((1, 3), np.float32))[0].sum())); "
        "sys.exit('scaledis' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "decode.jax"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(model.decode(np.ones((1, 3))).sum(), rel=1e-5)


def test_a_damaged_or_foreign_folder_is_one_sentence(tmp_path):
    model = random(method__name="vae")
    model.export(tmp_path)
    exported = scaledis.load_exported(tmp_path)
    for call, message in (
        (lambda: exported.encode(IMAGES / 255), "images: float64"),
        (lambda: exported.decode(np.zeros((2, 4))), r"codes: \[2, 4\]; this model decodes \[B, 3\]"),
        (lambda: model.export(tmp_path, "tflite"), "format: 'tflite' is unknown. Choices: jax, onnx"),
        (lambda: model.export(3), "path: 3 must be text or a path"),
        (lambda: scaledis.load_exported(tmp_path / "none"), "path: .* has no export.json, which Model.export writes"),
        (lambda: model._replace(programs=type(model)._field_defaults["make"]).export(tmp_path), "not made by scaledis"),
    ):
        with pytest.raises(UserError, match=message):
            call()
    data = (tmp_path / "decode.jax").read_bytes()
    (tmp_path / "decode.jax").write_bytes(data[:-1])
    with pytest.raises(UserError, match="decode.jax is damaged: it is not the file that export.json"):
        scaledis.load_exported(tmp_path)
    other = {"encode": portable.Function(lambda x: (x,), "x", (2,), np.float32, ("y",))}
    portable.write(tmp_path, other, {}, "jax")
    (tmp_path / "encode.jax").write_bytes(b"no program")
    about = files.read_json(tmp_path / "export.json")
    files.write_sealed(tmp_path / "export.json", {**about, "sha256": {"encode.jax": CHECKSUM}})
    with pytest.raises(UserError, match="encode.jax cannot be read by JAX"):
        scaledis.load_exported(tmp_path)


CHECKSUM = "77c81fb66a43b886cf465ef2634a071856e9529e7509b908ab5c2e70f6e2ddd9"


@pytest.mark.usefixtures("linear_method")
def test_a_method_that_reads_the_batch_by_len_is_told_how_not_to(tmp_path):
    population = tiny.population([tiny.config(method__name="linear")], tiny.dataset())
    with pytest.raises(UserError, match="encode: it cannot be traced for a batch of any size .* len.x. may not"):
        population.model(population.init(), 0).export(tmp_path)


@pytest.mark.parametrize("name", ("onnx", "flatbuffers"))
def test_a_missing_library_is_named_with_its_extra(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    extra = {"onnx": "onnx", "flatbuffers": "export"}[name]
    same = {"same": portable.Function(lambda x: (x + 1,), "x", (2,), np.float32, ("y",))}
    with pytest.raises(UserError, match=rf"pip install scaledis\[{extra}\]"):
        portable.write(tmp_path, same, {}, "onnx" if name == "onnx" else "jax")
