// bindplug/models/small/log_mel.py: a sound to log-mel blocks. The browser decodes; it also
// resamples, by a filter of its own, what is no WAV.
const RATE = 44100, FFT = 2048, HOP = 1024, BANDS = 96, FRAMES = 100, STEP = 50;
const NORM = 9.457798957824707, PEAK = 0.9, QUIET = 0.1;

// Triangles on the HTK mel scale, each summing to 1: first bin and weights of each band.
const BANKS = (() => {
  const top = 2595 * Math.log10(1 + RATE / 2 / 700);
  const edges = Array.from({ length: BANDS + 2 }, (_, i) =>
    700 * (10 ** (top * i / (BANDS + 1) / 2595) - 1));
  return Array.from({ length: BANDS }, (_, band) => {
    const [left, centre, right] = edges.slice(band, band + 3);
    const weights = Array.from({ length: FFT / 2 + 1 }, (_, i) => {
      const hertz = (i * RATE) / FFT;
      return Math.max(0, Math.min((hertz - left) / (centre - left), (right - hertz) / (right - centre)));
    });
    const sum = weights.reduce((a, b) => a + b);
    const first = weights.findIndex((w) => w > 0);
    return { first, weights: weights.filter((w) => w > 0).map((w) => w / sum) };
  });
})();
const WINDOW = Float64Array.from({ length: FFT }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / FFT));

// In place, radix 2, of FFT complex numbers.
function transform(re, im) {
  for (let i = 1, j = 0; i < FFT; i++) {
    let bit = FFT >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) { [re[i], re[j]] = [re[j], re[i]]; [im[i], im[j]] = [im[j], im[i]]; }
  }
  for (let size = 2; size <= FFT; size *= 2) {
    const half = size / 2;
    for (let k = 0; k < half; k++) {
      const c = Math.cos((-2 * Math.PI * k) / size), s = Math.sin((-2 * Math.PI * k) / size);
      for (let i = k; i < FFT; i += size) {
        const x = re[i + half] * c - im[i + half] * s, y = re[i + half] * s + im[i + half] * c;
        re[i + half] = re[i] - x; im[i + half] = im[i] - y;
        re[i] += x; im[i] += y;
      }
    }
  }
}

function logMel(wave) {
  const padded = new Float64Array(wave.length + FFT + Math.max(0, FFT - wave.length));
  padded.set(wave, FFT / 2);
  const count = Math.floor((padded.length - FFT) / HOP) + 1;
  const out = new Float32Array(count * BANDS);
  for (let frame = 0; frame < count; frame++) {
    const re = padded.slice(frame * HOP, frame * HOP + FFT).map((x, i) => x * WINDOW[i]);
    const im = new Float64Array(FFT);
    transform(re, im);
    BANKS.forEach(({ first, weights }, band) => {
      const power = weights.reduce((sum, w, i) =>
        sum + w * (re[first + i] ** 2 + im[first + i] ** 2), 0);
      out[frame * BANDS + band] = Math.log10(1 + 10000 * power) / NORM;
    });
  }
  return { mel: out, count };
}

// The rate of a WAV that an audio context can have, else RATE.
function rateOf(data) {
  const view = new DataView(data);
  if (data.byteLength < 28 || view.getUint32(0) !== 0x52494646) return RATE; // "RIFF"
  const rate = view.getUint32(24, true);
  return rate >= 8000 && rate <= 96000 ? rate : RATE;
}

// bindplug/transforms/resampling.py: windowed sinc, 6 zero crossings a side, roll-off 0.99.
function resample(wave, rate) {
  if (rate === RATE) return wave;
  const cutoff = (Math.min(rate, RATE) * 0.99) / rate, width = Math.ceil(6 / cutoff);
  return Float32Array.from({ length: Math.ceil((wave.length * RATE) / rate) }, (_, m) => {
    const at = (m * rate) / RATE, near = Math.floor(at);
    let sum = 0;
    for (let i = Math.max(0, near - width); i <= Math.min(wave.length - 1, near + width + 1); i++) {
      const t = (i - at) * cutoff;
      if (Math.abs(t) >= 6) continue;
      const sinc = t === 0 ? 1 : Math.sin(Math.PI * t) / (Math.PI * t);
      sum += wave[i] * sinc * Math.cos((Math.PI * t) / 12) ** 2 * cutoff;
    }
    return sum;
  });
}

async function decode(file) {
  let buffer, rate;
  try {
    const data = await file.arrayBuffer();
    rate = rateOf(data);
    buffer = await new OfflineAudioContext(1, 1, rate).decodeAudioData(data);
  } catch {
    throw new Error("is no image or sound that this browser reads");
  }
  const wave = new Float32Array(buffer.length);
  for (let c = 0; c < buffer.numberOfChannels; c++) {
    buffer.getChannelData(c).forEach((x, i) => { wave[i] += x / buffer.numberOfChannels; });
  }
  return resample(wave, rate);
}

const loudest = (wave) => wave.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

export async function soundBlocks(file) {
  let wave = await decode(file);
  if (wave.length < 0.025 * RATE) throw new Error("is shorter than 25 ms");
  const factor = PEAK / Math.max(loudest(wave), 1e-5);
  wave = wave.map((x) => x * factor);
  const { mel, count } = logMel(wave);
  const blocks = Math.ceil(Math.max(count - FRAMES, 0) / STEP) + 1;
  const starts = Array.from({ length: blocks }, (_, i) => i * STEP);
  const peaks = starts.map((s) => loudest(wave.subarray(s * HOP, (s + FRAMES) * HOP)));
  const kept = starts.filter((_, i) => peaks[i] >= QUIET * Math.max(...peaks));
  const data = new Float32Array(kept.length * FRAMES * BANDS); // zeros after the end
  kept.forEach((s, i) =>
    data.set(mel.subarray(s * BANDS, (s + FRAMES) * BANDS), i * FRAMES * BANDS));
  return { data, dims: [kept.length, FRAMES, BANDS] };
}
