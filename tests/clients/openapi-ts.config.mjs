// The client is an ES module of Node, whose imports name files with their suffix.
export default {
  input: "./openapi.json",
  output: { path: "./client", importFileExtension: ".js" },
  plugins: ["@hey-api/client-fetch", "@hey-api/typescript", "@hey-api/sdk"],
};
