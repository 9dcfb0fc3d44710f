// The main job by openapi-fetch with the types that openapi-typescript generates: node main_job_fetch.js URL NETWORK DATA OUT
import { openAsBlob } from "node:fs";
import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import createClient from "openapi-fetch";
import type { components, paths } from "./bitbudget.js";

type Job = components["schemas"]["JobAnswer"];

function required<Value>(value: Value | undefined, error: unknown): Value {
  if (value === undefined) throw new Error(JSON.stringify(error));
  return value;
}

async function main(url: string, network: string, samples: string, out: string): Promise<void> {
  const client = createClient<paths>({ baseUrl: url });

  const form = new FormData();
  form.set("file", await openAsBlob(network), basename(network));
  const network_ = await client.POST("/v1/networks", { body: { file: "" }, bodySerializer: () => form });
  const uploaded = required(network_.data, network_.error);
  const data = new FormData();
  data.set("file", await openAsBlob(samples), basename(samples));
  const data_ = await client.POST("/v1/datasets", { body: { file: "" }, bodySerializer: () => data });
  const dataset = required(data_.data, data_.error);

  const fit = await client.POST("/v1/networks/{network_id}/fit", {
    params: { path: { network_id: uploaded.id } },
    body: { flash: 40_000, ram: "8 kB", allowed_weight_bits: { "*": [8, 4] } },
  });
  const answer = required(fit.data, fit.error);
  if (!answer.fits || answer.memory.flash_bytes > answer.budget.flash_bytes) throw new Error("it does not fit");

  const created = await client.POST("/v1/jobs", {
    params: { header: { "idempotency-key": "openapi-fetch" } },
    body: {
      kind: "training",
      network_id: uploaded.id,
      dataset: dataset.id,
      flash: "18kB",
      ram: 2800,
      training: { epochs: 0, calibration_samples: 64 },
    },
  });
  let job: Job = required(created.data, created.error);
  while (!["succeeded", "failed", "cancelled"].includes(job.state)) {
    const changed = await client.GET("/v1/jobs/{job_id}", {
      params: { path: { job_id: job.id }, query: { wait_seconds: 60 } },
    });
    job = required(changed.data, changed.error);
  }
  const report = job.result;
  if (report?.kind !== "training") throw new Error(JSON.stringify(job.error));
  console.log(job.id, report.fits, report.regions[0]?.required_bytes, report.task);

  for (const artifact of job.artifacts) {
    const file = await client.GET("/v1/jobs/{job_id}/artifacts/{name}", {
      params: { path: { job_id: job.id, name: artifact.name } },
      parseAs: "arrayBuffer",
    });
    await writeFile(join(out, artifact.name), new Uint8Array(required(file.data, file.error)));
  }
}

const [url = "", network = "", samples = "", out = ""] = process.argv.slice(2);
await main(url, network, samples, out);
