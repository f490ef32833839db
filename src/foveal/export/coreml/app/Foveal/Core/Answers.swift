import Foundation

/// What the network gave for one picture: name and numbers, batch axis left out.
struct Output: Sendable {
    let shape: [Int]
    let values: [Float]
}

/// A label and how likely it is, or of a mask, its share of the pixels.
struct Score: Sendable {
    let label: String
    let probability: Double
}

/// The answer to one picture.
struct Answer: Sendable {
    /// Label, labels, text, or the largest label of a mask; empty where there is none.
    let text: String
    /// From 0 to 1.
    let confidence: Double
    /// Whether the answer should not be relied on.
    let isUnsure: Bool
    /// Labels with their probabilities, most likely first; none for texts.
    let scores: [Score]
    /// What is drawn over the picture.
    let overlay: Overlay?
}

/// Makes answers of outputs as foveal does.
struct Answering: Sendable {
    let description: Description

    /// Above this, the picture is unlike those of the training.
    private static let familiar: Float = 1

    func answer(_ outputs: [String: Output], frame: Pipeline.Frame) throws -> Answer {
        let isFamiliar = (outputs["unfamiliarity"]?.values.first ?? 0) <= Self.familiar
        switch description.task {
        case "classify":
            return try classified(outputs, frame, isFamiliar)
        case "read":
            return try read(outputs, isFamiliar)
        default:
            return try segmented(outputs, frame, isFamiliar)
        }
    }

    private func classified(
        _ outputs: [String: Output], _ frame: Pipeline.Frame, _ isFamiliar: Bool
    ) throws -> Answer {
        let probabilities = try Self.wanted("probabilities", outputs).values
        let isMulti = description.taskOptions.multiLabel ?? false
        let best = Self.largest(probabilities)
        var chosen = [best]
        var confidence = probabilities[best]
        if isMulti {
            let limits = description.calibration.thresholds
            let isChosen = probabilities.enumerated().map { index, value in
                value >= Float(limits.isEmpty ? 0.5 : limits[index])
            }
            chosen = probabilities.indices.filter { isChosen[$0] }
            confidence = zip(probabilities, isChosen).map { $1 ? $0 : 1 - $0 }.min() ?? 0
        }
        let order = probabilities.indices.sorted {
            (-probabilities[$0], $0) < (-probabilities[$1], $1)
        }
        return Answer(
            text: chosen.map { description.labels[$0] }.joined(separator: "|"),
            confidence: Double(confidence),
            isUnsure: isUnsure(Double(confidence), isFamiliar),
            scores: order.map {
                Score(label: description.labels[$0], probability: Double(probabilities[$0]))
            },
            overlay: outputs["evidence"].map {
                Overlay.evidence($0, label: best, isCompared: !isMulti, frame: frame)
            })
    }

    private func read(_ outputs: [String: Output], _ isFamiliar: Bool) throws -> Answer {
        let logits = try Self.wanted("logits", outputs)
        let rows = Reading.rows(logits, temperature: description.calibration.temperature)
        let found =
            description.taskOptions.head == "positions"
            ? Reading.ofPositions(rows) : Reading.greedy(rows)
        let text = found.indices.map { description.labels[$0] }.joined()
        let confidence = min(1, exp(found.logProbability))
        let words = description.taskOptions.words ?? []
        let isAllowed = words.isEmpty || words.contains(text)
        return Answer(
            text: text,
            confidence: confidence,
            isUnsure: isUnsure(confidence, isFamiliar) || !isAllowed,
            scores: [],
            overlay: nil)
    }

    private func segmented(
        _ outputs: [String: Output], _ frame: Pipeline.Frame, _ isFamiliar: Bool
    ) throws -> Answer {
        let logits = try Self.wanted("logits", outputs)
        let mask = Masks.of(
            logits, temperature: description.calibration.temperature,
            offsets: description.calibration.offsets ?? [],
            rows: frame.rows, columns: frame.columns)
        var counts = [Int](repeating: 0, count: description.labels.count)
        for label in mask.labels {
            counts[label] += 1
        }
        let order = counts.indices.sorted { (-counts[$0], $0) < (-counts[$1], $1) }
        let hasBackground = description.labels.first == "background"
        let shown = order.filter { counts[$0] > 0 && !(hasBackground && $0 == 0) }
        return Answer(
            text: shown.first.map { description.labels[$0] } ?? "",
            confidence: mask.confidence,
            isUnsure: isUnsure(mask.confidence, isFamiliar),
            scores: order.map {
                Score(
                    label: description.labels[$0],
                    probability: Double(counts[$0]) / Double(mask.labels.count))
            },
            overlay: Overlay.mask(mask, frame: frame, hasBackground: hasBackground))
    }

    private func isUnsure(_ confidence: Double, _ isFamiliar: Bool) -> Bool {
        confidence < description.calibration.unsureBelow || !isFamiliar
    }

    private static func wanted(_ name: String, _ outputs: [String: Output]) throws -> Output {
        guard let output = outputs[name], output.values.allSatisfy(\.isFinite) else {
            throw PictureError(errorDescription: "The model returned no answer for this picture.")
        }
        return output
    }

    /// The position of the largest value, the first of equal ones.
    static func largest<Values: Collection>(_ values: Values) -> Int
    where Values.Element == Float {
        var best = 0
        var most = -Float.infinity
        for (index, value) in values.enumerated() where value > most {
            best = index
            most = value
        }
        return best
    }
}
