import SwiftUI

/// The answer in words: what it is, how certain, and the labels that come next.
struct AnswerView: View {
    @ObservedObject var viewer: Viewer

    private static let shown = 3

    var body: some View {
        VStack(alignment: .leading, spacing: 6) {
            if let problem = viewer.problem {
                Label(problem, systemImage: "exclamationmark.triangle")
            } else if let answer = viewer.answer {
                headline(answer)
                ForEach(answer.scores.prefix(Self.shown), id: \.label) { score in
                    ProgressView(value: min(1, max(0, score.probability))) {
                        HStack {
                            Text(score.label)
                            Spacer()
                            Text(Self.percent(score.probability)).monospacedDigit()
                        }
                        .font(.subheadline)
                    }
                    .accessibilityElement(children: .combine)
                }
            } else {
                Text("Point the camera at something, or choose a photo.")
                    .foregroundStyle(.secondary)
            }
        }
        .frame(maxWidth: .infinity, alignment: .leading)
        .padding()
        .background(.background)
    }

    private func headline(_ answer: Answer) -> some View {
        ViewThatFits(in: .horizontal) {
            HStack(alignment: .firstTextBaseline) { parts(answer) }
            VStack(alignment: .leading) { parts(answer) }
        }
        .accessibilityElement(children: .combine)
    }

    @ViewBuilder private func parts(_ answer: Answer) -> some View {
        Text(answer.text.isEmpty ? "nothing" : answer.text)
            .font(.title2.bold())
            .textSelection(.enabled)
        Text(Self.percent(answer.confidence))
            .font(.title3)
            .monospacedDigit()
        if answer.isUnsure {
            Label("unsure", systemImage: "questionmark.circle")
                .foregroundStyle(.orange)
        }
    }

    static func percent(_ share: Double) -> String {
        share.formatted(.percent.precision(.fractionLength(1)))
    }
}
