"use strict";
// The page of kdgan serve: asks GET about what the student takes, builds the inputs, and shows what POST predict says.

const MANY_COLUMNS = 200;
const find = (id) => document.getElementById(id);
let about = null;
let asked = 0;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function showError(message) {
  find("error").textContent = message;
  find("error").hidden = !message;
}

function showPlayer(title, found, further) {
  const player = find("player").content.cloneNode(true);
  const [prediction] = found.predictions;
  player.querySelector("h2").textContent = title;
  prediction.labels.forEach((name, place) => {
    const chance = prediction.probabilities[place];
    const item = find("label").content.cloneNode(true);
    item.querySelector(".name").textContent = name;
    item.querySelector(".chance").textContent = `${(100 * chance).toFixed(1)} %`;
    const bar = item.querySelector("progress");
    bar.value = chance;
    bar.setAttribute("aria-label", name);
    player.querySelector("ol").append(item);
  });
  player.querySelector(".time").textContent = `${found.milliseconds.toFixed(1)} ms${further}`;
  find("answer").append(player);
}

function show(answer) {
  find("answer").replaceChildren();
  showPlayer(about.student ? `Student: ${about.student}` : "Student", answer, `, and ${answer.reading_milliseconds.toFixed(1)} ms to read what was sent`);
  if (answer.teacher) showPlayer(`Teacher: ${about.teacher}`, answer.teacher, "");
  if (answer.notes.length) {
    find("answer").append(element("p", { className: "hint", textContent: answer.notes.join("; ") }));
  }
}

async function predict(body, type) {
  const mine = ++asked; // an answer that comes after a later question is dropped
  showError("");
  find("answer").classList.add("waiting");
  let problem = "";
  let answer = null;
  try {
    const response = await fetch("predict", { method: "POST", body, headers: { "Content-Type": type } });
    answer = await response.json();
    problem = response.ok ? "" : answer.error;
  } catch (error) {
    problem = `The server does not answer (${error.message}).`;
  }
  if (mine !== asked) return;
  find("answer").classList.remove("waiting");
  if (problem) {
    find("answer").replaceChildren();
    showError(problem);
  } else {
    show(answer);
  }
}

function imageInput() {
  const picker = element("input", { type: "file", id: "image", accept: "image/*" });
  const preview = element("img", { alt: "The image that was chosen", hidden: true });
  const zone = element(
    "div",
    { className: "drop" },
    element("label", { htmlFor: "image", textContent: "Drop an image here, paste one, or choose a file" }),
    picker,
    preview,
  );
  const take = (file) => {
    if (!file) return;
    if (file.size > about.most_bytes) {
      find("answer").replaceChildren();
      showError(`This file has ${file.size.toLocaleString()} bytes, and at most ${about.most_bytes.toLocaleString()} are taken.`);
      return;
    }
    URL.revokeObjectURL(preview.src);
    preview.src = URL.createObjectURL(file);
    predict(file, "application/octet-stream");
  };
  preview.addEventListener("load", () => {
    preview.hidden = false;
    preview.classList.toggle("small", preview.naturalWidth < 128);
  });
  preview.addEventListener("error", () => { preview.hidden = true; }); // kinds that this browser does not show
  picker.addEventListener("change", () => take(picker.files[0]));
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  document.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) picker.files = event.dataTransfer.files;
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
  find("inputs").append(zone);
}

function columnInput(column, place) {
  const id = `column${place}`;
  const choices = column.kind === "truth" ? ["true", "false"] : column.categories;
  const field = choices.length
    ? element("select", { id }, element("option", { value: "", textContent: "(missing)" }),
      ...choices.map((choice, at) => element("option", { value: String(at + 1), textContent: choice || "(empty)" })))
    : element("input", { id, type: "text", autocomplete: "off", placeholder: column.expected });
  const value = () => {
    if (choices.length) return field.value ? choices[Number(field.value) - 1] : null;
    return field.value.trim() || null;
  };
  const cell = element("div", {}, element("label", { htmlFor: id, textContent: column.name }), field);
  return { cell, name: column.name, value };
}

function submitted(body) {
  find("send").hidden = false;
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      predict(JSON.stringify(body()), "application/json");
    } catch (error) {
      showError(`This cannot be read (${error.message}).`);
    }
  });
}

function textInput(words, value) {
  const field = element("textarea", { id: "text", rows: 6, value });
  find("inputs").append(element("label", { htmlFor: "text", textContent: words }), field);
  return field;
}

function tableInput() {
  if (about.columns.length > MANY_COLUMNS) {
    const row = Object.fromEntries(about.columns.map((column) => [column.name, null]));
    const field = textInput("A row as JSON; null for what is missing", JSON.stringify(row, null, 1));
    submitted(() => ({ rows: [JSON.parse(field.value)] }));
    return;
  }
  const fields = about.columns.map(columnInput);
  find("inputs").append(element("div", { className: "fields" }, ...fields.map((field) => field.cell)));
  submitted(() => ({ rows: [Object.fromEntries(fields.map((field) => [field.name, field.value()]))] }));
}

function numbersInput() {
  const field = textInput(`${about.shape.join(" × ")} numbers, apart by spaces or commas`, "");
  const nested = (numbers, [size, ...rest]) => {
    if (!rest.length) return numbers;
    const width = numbers.length / size;
    return Array.from({ length: size }, (_, row) => nested(numbers.slice(row * width, (row + 1) * width), rest));
  };
  submitted(() => {
    const numbers = field.value.split(/[\s,;[\]]+/).filter(Boolean).map(Number);
    const count = about.shape.reduce((product, side) => product * side, 1);
    if (numbers.length !== count) throw new Error(`${numbers.length} numbers, and ${count} are needed`);
    return { inputs: [nested(numbers, about.shape)] };
  });
}

async function begin() {
  about = await (await fetch("about")).json();
  const teacher = about.teacher ? ", beside its teacher" : "";
  find("about").textContent = `The student, which knows ${about.labels.length} labels${teacher}. `
    + "What you give it stays on the machine that serves this page, and is not kept.";
  ({ image: imageInput, table: tableInput, numbers: numbersInput })[about.takes]();
}

begin().catch((error) => showError(`The server does not answer (${error.message}).`));
