import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.api.DatasetsApi;
import org.openapitools.client.api.JobsApi;
import org.openapitools.client.api.NetworksApi;
import org.openapitools.client.model.Artifact;
import org.openapitools.client.model.Bits;
import org.openapitools.client.model.FitAnswer;
import org.openapitools.client.model.FitRequest;
import org.openapitools.client.model.JobAnswer;
import org.openapitools.client.model.JobRequest;
import org.openapitools.client.model.JobState;
import org.openapitools.client.model.NewJob;
import org.openapitools.client.model.Size;
import org.openapitools.client.model.TrainingOptions;
import org.openapitools.client.model.TrainingReport;

/** The main job by the client that openapi-generator generates for Java: MainJob URL NETWORK DATA OUT. */
public class MainJob {
  public static void main(String[] arguments) throws Exception {
    ApiClient client = new ApiClient();
    client.updateBaseUri(arguments[0]);
    NetworksApi networks = new NetworksApi(client);
    JobsApi jobs = new JobsApi(client);

    // The last argument, the files of weights, may not be null: a fault of the generator.
    String network = networks.uploadNetwork(new File(arguments[1]), null, null, null, null, null, List.of()).getId();
    String dataset = new DatasetsApi(client).uploadDataset(new File(arguments[2]), null).getId();

    FitRequest question = new FitRequest()
        .flash(new Size(40_000L))
        .ram(new Size("8 kB"))
        .allowedWeightBits(Map.of("*", List.of(Bits.BITS_8, Bits.BITS_4)));
    FitAnswer answer = networks.fit(network, question);
    if (!answer.getFits() || answer.getMemory().getFlashBytes() > answer.getBudget().getFlashBytes()) {
      throw new IllegalStateException("it does not fit");
    }

    JobRequest request = new JobRequest()
        .kind(JobRequest.KindEnum.TRAINING)
        .networkId(network)
        .dataset(dataset)
        .flash(new Size("18kB"))
        .ram(new Size(2800L))
        .training(new TrainingOptions().epochs(0).calibrationSamples(64));
    JobAnswer job = jobs.createJob(new NewJob(request), "java");
    while (!List.of(JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED).contains(job.getState())) {
      job = jobs.getJob(job.getId(), 60.0, null);
    }
    if (job.getState() != JobState.SUCCEEDED) {
      throw new IllegalStateException(job.getError().getDetail());
    }
    TrainingReport report = job.getResult().getTrainingReport();
    System.out.println(job.getId() + " " + report.getFits() + " " + report.getRegions().get(0).getRequiredBytes()
        + " " + report.getTask().getValue());

    for (Artifact artifact : job.getArtifacts()) {
      File content = jobs.getArtifact(job.getId(), artifact.getName(), null);
      Files.move(content.toPath(), Path.of(arguments[3], artifact.getName()));
    }
  }
}
