// Small comforts; every page works without this file.
(function () {
  "use strict";

  // Times are written in UTC by the server; show them in the visitor's own zone.
  // The page's language decides; among its regions (en-GB, en-US) the browser's.
  var page = document.documentElement.lang;
  var locale = navigator.language.split("-")[0] === page.split("-")[0] ? navigator.language : page;
  function localTimes(root) {
    root.querySelectorAll("time[datetime][data-local]").forEach(function (each) {
      var at = new Date(each.getAttribute("datetime"));
      if (isNaN(at)) return;
      each.title = each.textContent.trim();
      each.textContent = at.toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
      each.removeAttribute("data-local");
    });
  }

  // A second click on a slow button must not send the form twice. The button that was pressed stays enabled
  // until the form is serialised, or its value would be lost.
  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    setTimeout(function () {
      form.querySelectorAll("button").forEach(function (each) { each.setAttribute("aria-disabled", "true"); });
    }, 0);
  });
  // The page may come back from the browser's cache, its form still marked as sent.
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-sent]").forEach(function (form) {
      delete form.dataset.sent;
      form.querySelectorAll("button").forEach(function (each) { each.removeAttribute("aria-disabled"); });
    });
  });

  // A select that filters a list need not wait for its button.
  document.addEventListener("change", function (event) {
    var form = event.target.closest("form[data-auto]");
    if (form) form.requestSubmit();
  });

  // The size a visitor picks ("Test", "Prod", ...) fills in the answers that belong to it.
  document.addEventListener("change", function (event) {
    var size = event.target.closest("[data-size-index]");
    if (!size) return;
    var index = Number(size.dataset.sizeIndex);
    size.form.querySelectorAll("[data-sizes]").forEach(function (field) {
      var value = String(JSON.parse(field.dataset.sizes)[index]);
      field.querySelectorAll("input").forEach(function (input) {
        if (input.type === "radio") input.checked = input.value === value;
        else if (input.type !== "hidden" && input.type !== "checkbox") input.value = value;
      });
    });
  });

  // A question that depends on another answer is hidden while it does not count.
  function answerOf(form, name) {
    var chosen = form.querySelector("input[name='" + CSS.escape(name) + "']:checked") || form.elements[name];
    return chosen && chosen.value !== undefined ? chosen.value : "";
  }
  function showWhatCounts() {
    document.querySelectorAll("[data-when]").forEach(function (field) {
      var form = field.closest("form");
      field.hidden = !JSON.parse(field.dataset.when).every(function (each) {
        return each.values.includes(answerOf(form, each.name)) !== each.negated;
      });
    });
  }
  document.addEventListener("change", showWhatCounts);
  showWhatCounts();

  document.addEventListener("htmx:afterSwap", function (event) { localTimes(event.detail.elt.parentElement || document); });

  localTimes(document);
  var problem = document.querySelector("[data-focus]");
  if (problem) problem.focus();
})();
