// bindplug/models/small/words.py: a text to rows of the table of word vectors.
const LENGTH = 32;

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

// The tensors `keys` (uint32, ascending) and `rows` (uint16) of a .safetensors file: word to row.
export function readTable(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const part = (name, Kind) => {
    const [start, end] = header[name].data_offsets.map((offset) => 8 + length + offset);
    return new Kind(buffer.slice(start, end));
  };
  const keys = part("keys", Uint32Array), rows = part("rows", Uint16Array);
  return new Map(Array.from(keys, (key, i) => [key, rows[i]]));
}

export function textRows(text, table) {
  const words = text.toLowerCase().replaceAll("'s", "").replaceAll("’s", "")
    .match(/[\p{L}\p{N}]+/gu);
  if (!words) throw new Error(`the text "${text}" holds no word`);
  const encoder = new TextEncoder();
  const rows = words.map((word) => table.get(crc32(encoder.encode(word))))
    .filter((row) => row !== undefined).slice(0, LENGTH);
  const data = new BigInt64Array(LENGTH);
  rows.forEach((row, i) => { data[i] = BigInt(row); });
  return { data, dims: [1, LENGTH] };
}
