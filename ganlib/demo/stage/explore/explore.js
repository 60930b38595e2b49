const root = element.querySelector(".explore"), parts = partsOf(root);
const choice = new ModelChoice(parts.controls, PAGE.models, () => {});
new LinkButton(parts.share, () => ({model: choice.value}));
onState((values) => choice.show(values.model));
