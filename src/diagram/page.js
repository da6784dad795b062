const slider = document.getElementById("step");
const rows = [...document.querySelectorAll("tbody tr")];
const groups = [...document.querySelectorAll("svg [data-step]")];
const bars = [...document.querySelectorAll("svg [data-from]")];
function show(step) {
  if (rows.length === 0) return;
  step = Math.min(Math.max(step, 1), rows.length);
  slider.value = step;
  for (const group of groups) {
    const own = Number(group.dataset.step);
    group.classList.toggle("later", own > step);
    group.classList.toggle("now", own === step);
  }
  for (const bar of bars) bar.classList.toggle("later", Number(bar.dataset.from) > step);
  rows.forEach((row, index) => row.classList.toggle("now", index + 1 === step));
  document.getElementById("caption").textContent = step + " / " + rows.length + "  " + rows[step - 1].cells[2].textContent;
  history.replaceState(null, "", "#step=" + step);
}
slider.addEventListener("input", () => show(Number(slider.value)));
document.getElementById("back").addEventListener("click", () => show(Number(slider.value) - 1));
document.getElementById("on").addEventListener("click", () => show(Number(slider.value) + 1));
document.addEventListener("keydown", (event) => {
  if (event.target === slider) return;
  if (event.key === "ArrowLeft") show(Number(slider.value) - 1);
  if (event.key === "ArrowRight") show(Number(slider.value) + 1);
});
const asked = /^#step=(\d+)$/.exec(location.hash);
show(asked ? Number(asked[1]) : rows.length);
