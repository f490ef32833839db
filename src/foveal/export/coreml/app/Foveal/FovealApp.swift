import SwiftUI

@main
struct FovealApp: App {
    var body: some Scene {
        WindowGroup {
            StartView()
        }
    }
}

/// Loads the model, and says so when it cannot be loaded.
struct StartView: View {
    @State private var viewer: Viewer?
    @State private var problem: String?

    var body: some View {
        Group {
            if let viewer {
                ContentView(viewer: viewer)
            } else if let problem {
                ContentUnavailableView(
                    "No model", systemImage: "exclamationmark.triangle",
                    description: Text(problem))
            } else {
                ProgressView("Loading the model")
            }
        }
        .task {
            do {
                viewer = Viewer(recogniser: try await Recogniser.load())
            } catch {
                problem = error.localizedDescription
            }
        }
    }
}
