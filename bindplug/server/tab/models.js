// An exported folder's encoders on onnxruntime-web.
import * as ort from "./ort.wasm.bundle.min.mjs";
import { imagePixels } from "./image.js";
import { soundBlocks } from "./sound.js";
import { readTable, textRows } from "./text.js";

ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more need a page that is isolated from other origins

async function get(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name} cannot be fetched: ${answer.status}`);
  return answer;
}

const once = (make) => {
  const made = new Map();
  return (key) => {
    if (!made.has(key)) made.set(key, make(key));
    return made.get(key);
  };
};

export const manifest = await (await get("manifest.json")).json();
const session = once(async (modality) => {
  const graph = await (await get(manifest.encoders[modality].graph)).arrayBuffer();
  return ort.InferenceSession.create(new Uint8Array(graph));
});
const table = once(async (name) => readTable(await (await get(name)).arrayBuffer()));

const TRANSFORMS = { // by the manifest's name: an input to {data, dims} of its clips
  "small/image": (item, encoder) => imagePixels(item, encoder.transform.settings.size),
  "small/audio": (item) => soundBlocks(item),
  "small/text": async (item, encoder) =>
    textRows(item, await table(encoder.files.find((name) => name.endsWith(".safetensors")))),
};

export function unit(vector) {
  const norm = Math.max(Math.hypot(...vector), 1e-12);
  return vector.map((x) => x / norm);
}

const meanOf = (vectors) =>
  vectors[0].map((_, i) => vectors.reduce((sum, v) => sum + v[i], 0) / vectors.length);

// One input, a File or a string, to its unit vector.
export async function embed(modality, item) {
  const encoder = manifest.encoders[modality];
  if (!encoder) throw new Error(`the exported folder has no encoder of ${modality}`);
  const { data, dims } = await TRANSFORMS[encoder.transform.name](item, encoder);
  const clips = new ort.Tensor(encoder.input.dtype, data, dims);
  const out = await (await session(modality)).run({ [encoder.input.name]: clips });
  const rows = Array.from({ length: dims[0] }, (_, i) =>
    Array.from(out[encoder.output.name].data.subarray(i * manifest.width, (i + 1) * manifest.width)));
  return unit(meanOf(rows));
}

// softmax over names of the text's logit scale times the cosine to the mean of a name's wordings.
export async function classify(vector, names) {
  const logits = [];
  for (const name of names) {
    const rows = [];
    for (const template of manifest.templates ?? ["{}"]) {
      rows.push(await embed("text", template.replaceAll("{}", name)));
    }
    const cosine = unit(meanOf(rows)).reduce((sum, x, i) => sum + x * vector[i], 0);
    logits.push(manifest.encoders.text.logit_scale * cosine);
  }
  const most = Math.max(...logits), powers = logits.map((x) => Math.exp(x - most));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((x) => x / total);
}
