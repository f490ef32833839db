import SwiftUI

/// What the model is, and how it answered the pictures that came with it.
struct CheckView: View {
    @ObservedObject var viewer: Viewer
    @Environment(\.dismiss) private var dismiss

    var body: some View {
        NavigationStack {
            List {
                Section("Model") {
                    LabeledContent("Name", value: viewer.description.name)
                    LabeledContent("Version", value: viewer.description.version)
                    LabeledContent("Labels", value: "\(viewer.description.labels.count)")
                }
                Section {
                    ForEach(viewer.checks) { result in
                        row(result)
                    }
                    if let problem = viewer.checkProblem {
                        Text(problem)
                    }
                    Button("Check again") {
                        Task { await viewer.check(again: true) }
                    }
                    .disabled(viewer.isChecking)
                } header: {
                    Text("Self-check")
                } footer: {
                    Text(summary)
                }
                if !viewer.description.licences.isEmpty {
                    Section("Licences of weights") {
                        ForEach(viewer.description.licences, id: \.weights) { licence in
                            Text(
                                [licence.weights, licence.licence, licence.origin]
                                    .compactMap { $0 }.joined(separator: ", ")
                            )
                            .font(.footnote)
                        }
                    }
                }
            }
            .navigationTitle("About this model")
            .toolbar {
                Button("Done") { dismiss() }
            }
        }
    }

    private var summary: String {
        if viewer.isChecking {
            return "Checking…"
        }
        if viewer.checks.isEmpty {
            return "Compares the answers of this device with those of foveal."
        }
        let passed = viewer.checks.filter(\.hasPassed).count
        let equal = viewer.checks.filter(\.hasSameInput).count
        let all = viewer.checks.count
        return "\(passed) of \(all) passed: the same answer, with about the same confidence. "
            + "\(equal) of \(all) had an identical model input."
    }

    private func row(_ result: CheckResult) -> some View {
        Label {
            VStack(alignment: .leading) {
                Text(result.text.isEmpty ? "nothing" : result.text)
                Text(
                    "\(AnswerView.percent(result.confidence)); expected "
                        + "\(result.expected.text.isEmpty ? "nothing" : result.expected.text), "
                        + AnswerView.percent(result.expected.confidence)
                )
                .font(.footnote)
                .foregroundStyle(.secondary)
            }
        } icon: {
            Image(systemName: result.hasPassed ? "checkmark.circle.fill" : "xmark.circle.fill")
                .foregroundStyle(result.hasPassed ? .green : .red)
                .accessibilityLabel(result.hasPassed ? "passed" : "failed")
        }
        .accessibilityElement(children: .combine)
    }
}
