// bindplug/models/small/pixels.py: an image to RGB in [-1, 1], resized as Pillow does it.
const MARGIN = 256 / 224; // side of the resized image over that of the crop
const ONE = 1 << 22; // Pillow's weights are whole numbers of 2^-22

const cubic = (x) => { // Keys, a = -0.5
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
};

const halfToEven = (x) => {
  const down = Math.floor(x);
  return x - down === 0.5 ? down + (down % 2) : Math.round(x);
};

// For each output pixel its first input pixel and the weights from there.
function weightsOf(from, to) {
  const scale = from / to, wide = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - 2 * wide + 0.5));
    const last = Math.min(from, Math.trunc(centre + 2 * wide + 0.5));
    const raw = [];
    for (let j = first; j < last; j++) raw.push(cubic((j - centre + 0.5) / wide));
    const sum = raw.reduce((a, b) => a + b);
    return { first, weights: raw.map((w) => Math.trunc((w / sum) * ONE + Math.sign(w) * 0.5)) };
  });
}

// Along one axis: `lines` lines of `from` RGB pixels, which lie `step` apart, each line `jump`.
function resizeAxis(pixels, from, to, lines, step, jump, outStep, outJump) {
  const out = new Uint8ClampedArray(to * lines * 3);
  weightsOf(from, to).forEach(({ first, weights }, i) => {
    for (let line = 0; line < lines; line++) {
      for (let c = 0; c < 3; c++) {
        let sum = ONE / 2, at = (line * jump + first * step) * 3 + c;
        for (const weight of weights) { sum += weight * pixels[at]; at += step * 3; }
        out[(line * outJump + i * outStep) * 3 + c] = Math.floor(sum / ONE);
      }
    }
  });
  return out;
}

async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {
      imageOrientation: "none", colorSpaceConversion: "none", premultiplyAlpha: "none",
    });
  } catch {
    throw new Error("is no image that this browser reads");
  }
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  const pixels = new Uint8ClampedArray(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) pixels[3 * i + c] = rgba[4 * i + c];
  }
  return { pixels, width, height };
}

export async function imagePixels(file, size) {
  let { pixels, width, height } = await decode(file);
  const side = Math.round(size * MARGIN), short = Math.min(width, height);
  const [w, h] = [width, height].map((n) => n === short ? side : Math.trunc(side * n / short));
  if (w !== width) pixels = resizeAxis(pixels, width, w, height, 1, width, 1, w);
  if (h !== height) pixels = resizeAxis(pixels, height, h, w, w, 1, w, 1);
  const inner = (side - size) / 2; // of the central square of `side` pixels
  const left = halfToEven((w - side) / 2) + Math.floor(inner);
  const top = halfToEven((h - side) / 2) + Math.floor(inner);
  const data = new Float32Array(3 * size * size);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const value = pixels[((top + y) * w + left + x) * 3 + c];
        data[(c * size + y) * size + x] = (value / 255) * 2 - 1;
      }
    }
  }
  return { data, dims: [1, 3, size, size] };
}
