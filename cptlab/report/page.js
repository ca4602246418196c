// Draws each figure when it comes near the window (those already near at once), and all of them before printing.
"use strict";
(function () {
  const NEAR = 800; // [px]
  const figures = JSON.parse(document.getElementById("figures-data").textContent);
  const config = {
    responsive: true, typesetMath: false, displaylogo: false, showSendToCloud: false, plotlyServerURL: "",
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "sendChartToCloud"],
  };
  const draw = function (div) {
    if (div.classList.contains("js-plotly-plot")) return;
    const figure = figures[Number(div.dataset.figure)];
    Plotly.newPlot(div, figure.data, figure.layout, config);
  };
  const graphs = Array.from(document.querySelectorAll(".graph"));
  const later = new IntersectionObserver(function (entries) {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      later.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: NEAR + "px 0px" });
  const near = function (div) { return div.getBoundingClientRect().top < window.innerHeight + NEAR; };
  const first = graphs.filter(near);
  first.forEach(draw);
  graphs.forEach(function (div) { if (!first.includes(div)) later.observe(div); });
  window.addEventListener("beforeprint", function () { graphs.forEach(draw); });
})();
