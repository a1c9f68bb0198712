// Starts the API reference. Everything that would talk to somebody else is off; the page's policy forbids it as well.
const place = document.getElementById("reference");
Scalar.createApiReference(place, {
  url: "/openapi.json?lang=" + place.dataset.lang,
  telemetry: false,
  withDefaultFonts: false,
  agent: { disabled: true, hideAddApi: true },
  mcp: { disabled: true },
  showDeveloperTools: "never",
  hideClientButton: true,
  persistAuth: false,
  hiddenClients: [],
  defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
  authentication: { preferredSecurityScheme: "callerKey" },
});
