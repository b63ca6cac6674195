// The form: a file and names in, probabilities out.
import { classify, embed } from "./models.js";

const $ = (id) => document.getElementById(id);

function show(names, probabilities) {
  const order = names.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a]);
  $("result").tBodies[0].replaceChildren(...order.map((i) => {
    const row = document.createElement("tr"), meter = document.createElement("meter");
    meter.value = probabilities[i];
    meter.setAttribute("aria-label", names[i]);
    row.insertCell().textContent = names[i];
    row.insertCell().append(meter);
    row.insertCell().textContent = `${(100 * probabilities[i]).toFixed(0)} %`;
    return row;
  }));
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter ?? $("form").querySelector("button");
  const names = $("names").value.split(",").map((name) => name.trim()).filter(Boolean);
  const [file] = $("file").files;
  if (!names.length) {
    $("status").textContent = "Give a name or more to choose from.";
    return;
  }
  button.disabled = true;
  $("result").tBodies[0].replaceChildren();
  $("status").textContent = "Reading the models; the first time takes a while.";
  try {
    const modality = file.type.startsWith("image/") ? "image" : "audio";
    const vector = await embed(modality, file);
    show(names, await classify(vector, names));
    $("status").textContent = `${file.name}, named in this tab.`;
  } catch (error) {
    $("status").textContent = `${file.name}: ${error.message}`;
  } finally {
    button.disabled = false;
  }
});
