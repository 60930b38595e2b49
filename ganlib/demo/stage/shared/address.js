// Links to a state of this page.

/** @param {Object<string, *>} values @returns {string} the query of a link; nothing is written for null and "" */
function linkQuery(values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  return query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
}

/** @param {?string} space of Hugging Face, "user/name" @returns {string} the address at which this page is found from elsewhere */
function addressOf({space}, query) {
  const base = space ? `https://huggingface.co/spaces/${space}` : window.location.origin + window.location.pathname;
  return `${base}?${query}`;
}

/** Copy a text. @returns {Promise<boolean>} whether it is in the clipboard; else it is selected in `field` */
async function copyText(text, field) {
  field.value = text;
  field.hidden = false;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field.focus();
    field.select();
    return false;
  }
}
