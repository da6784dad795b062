const slider = document.getElementById("step");
const rows = [...document.querySelectorAll("tbody tr")];
const groups = [...document.querySelectorAll("svg [data-step]")];
const bars = [...document.querySelectorAll("svg [data-from]")];
let timer;
function show(step) {
  slider.value = step;
  for (const group of groups) {
    const own = Number(group.dataset.step);
    group.classList.toggle("later", own > step);
    group.classList.toggle("now", own === step);
  }
  for (const bar of bars) bar.classList.toggle("later", Number(bar.dataset.from) > step);
  rows.forEach((row, index) => row.classList.toggle("now", index + 1 === step));
  document.getElementById("caption").textContent = step + " / " + rows.length + "  " + rows[step - 1].cells[2].textContent;
}
function go(step) {
  step = Math.min(Math.max(step, 1), rows.length);
  if (step === 0) return;
  show(step);
  groups[step - 1].scrollIntoView({ block: "center" });
  // Browsers refuse to change the address many times a second.
  clearTimeout(timer);
  timer = setTimeout(() => history.replaceState(null, "", "#step=" + step), 300);
}
slider.addEventListener("input", () => go(Number(slider.value)));
document.getElementById("back").addEventListener("click", () => go(Number(slider.value) - 1));
document.getElementById("on").addEventListener("click", () => go(Number(slider.value) + 1));
document.addEventListener("keydown", (event) => {
  if (event.target === slider || event.altKey || event.ctrlKey || event.metaKey) return;
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by) return;
  event.preventDefault();
  go(Number(slider.value) + by);
});
const asked = /^#step=(\d+)$/.exec(location.hash);
if (asked) go(Number(asked[1]));
else if (rows.length > 0) show(rows.length);
