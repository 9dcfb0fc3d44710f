{{- define "bitbudget.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "bitbudget.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bitbudget.labels" -}}
{{ include "bitbudget.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* The names of the Service, and those that the values add. */}}
{{- define "bitbudget.hosts" -}}
{{- $name := include "bitbudget.name" . }}
{{- $hosts := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) }}
{{- if .Values.ingress.enabled }}{{ $hosts = append $hosts .Values.ingress.host }}{{ end }}
{{- concat $hosts .Values.allowedHosts | uniq | join "," }}
{{- end }}

{{- /* The URL of the dashboard of the Ray cluster that runs the jobs; empty if there is none. */}}
{{- define "bitbudget.ray" -}}
{{- if .Values.ray.address }}{{ .Values.ray.address }}{{ else if .Values.ray.cluster.enabled }}{{ printf "http://%s-ray-head-svc:8265" (include "bitbudget.name" .) }}{{ end }}
{{- end }}

{{- /* What the pods of the Ray cluster have in common. */}}
{{- define "bitbudget.rayPod" -}}
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- /* The variables by which a pod reaches the store; its keys are a file of the Secret. */}}
{{- define "bitbudget.storeVariables" -}}
- name: AWS_REGION
  value: {{ .Values.store.region | quote }}
{{- with .Values.store.endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- if .Values.existingSecret }}
- name: AWS_SHARED_CREDENTIALS_FILE
  value: /run/secrets/aws_credentials
{{- end }}
{{- end }}
