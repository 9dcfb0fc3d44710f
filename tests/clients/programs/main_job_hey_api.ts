// The main job by the client that @hey-api/openapi-ts generates: node main_job_hey_api.js URL NETWORK DATA OUT
import { openAsBlob } from "node:fs";
import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { createJob, fit, getArtifact, getJob, uploadDataset, uploadNetwork } from "./client/sdk.gen.js";
import { client } from "./client/client.gen.js";

async function main(url: string, network: string, samples: string, out: string): Promise<void> {
  client.setConfig({ baseUrl: url, throwOnError: true });

  const file = new File([await openAsBlob(network)], basename(network));
  const { data: uploaded } = await uploadNetwork({ body: { file }, throwOnError: true });
  const data = new File([await openAsBlob(samples)], basename(samples));
  const { data: dataset } = await uploadDataset({ body: { file: data }, throwOnError: true });

  const { data: answer } = await fit({
    path: { network_id: uploaded.id },
    body: { flash: 40_000, ram: "8 kB", allowed_weight_bits: { "*": [8, 4] } },
    throwOnError: true,
  });
  if (!answer.fits || answer.memory.flash_bytes > answer.budget.flash_bytes) throw new Error("it does not fit");

  let { data: job } = await createJob({
    headers: { "idempotency-key": "hey-api" },
    body: {
      kind: "training",
      network_id: uploaded.id,
      dataset: dataset.id,
      flash: "18kB",
      ram: 2800,
      training: { epochs: 0, calibration_samples: 64 },
    },
    throwOnError: true,
  });
  while (!["succeeded", "failed", "cancelled"].includes(job.state)) {
    const changed = await getJob({ path: { job_id: job.id }, query: { wait_seconds: 60 }, throwOnError: true });
    job = changed.data;
  }
  const report = job.result;
  if (report?.kind !== "training") throw new Error(JSON.stringify(job.error));
  console.log(job.id, report.fits, report.regions[0]?.required_bytes, report.task);

  for (const artifact of job.artifacts) {
    const { data: content } = await getArtifact({
      path: { job_id: job.id, name: artifact.name },
      parseAs: "blob",
      throwOnError: true,
    });
    await writeFile(join(out, artifact.name), new Uint8Array(await content.arrayBuffer()));
  }
}

const [url = "", network = "", samples = "", out = ""] = process.argv.slice(2);
await main(url, network, samples, out);
